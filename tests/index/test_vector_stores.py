"""What every vector store does, held against a dictionary: any writes, filters and reopenings.

One suite for FAISS (flat, with and without merges all the time) and for Milvus (milvus-lite).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from index.errors import FilterError
from index.faiss_store import FaissStore
from index.filters import Filter
from index.milvus_store import MilvusStore
from index.records import Changes
from index.stems import stems
from index.vectors import VectorStore
from tests.index.made import vector

DIM = 4
NEAR = 1e-5  # scores as near as this count as equal
WORDS = [
    "dog", "Dog", "BARK", "bark", "it's", '"', "\\", "\\'", "100%", "a_b", "nul\0", "🎧", "Straße",
    "İstanbul", "[1,2]", "{x}", "or", "true", "-1", "null", "ΑΣ", "long*", "LONG*z",
]  # fmt: skip
NAMES = ["", " ", "CC0-1.0", "cc0-1.0", "line\nbreak", "' or row > 0 --", "tab\t", *WORDS[4:]]
SPOKEN = ["rain", "Rains", "raining", "metal", "roof", "dogs", "a", "barking", "tin-roof", "çay"]
SECONDS = [0.0, 1e-7, 0.1, 0.3, 0.30000001, 1.0, 59.94, 12_345.678, 1e9]

Opened = Callable[[str], VectorStore]


@dataclass(frozen=True)
class Held:
    """What the model knows of a clip."""

    seed: int
    duration: float
    licence: str
    source: str
    tags: tuple[str, ...]
    title: str = ""
    description: str = ""


def _grown(word: str) -> str:
    """A star makes a word ten thousand letters long."""
    return word.replace("*", "g" * 10_000)


_words = st.sampled_from(WORDS).map(_grown) | st.text(min_size=1, max_size=4).filter(
    lambda word: word.split() == [word]
)
_names = st.sampled_from(NAMES).map(_grown) | st.text(max_size=4)
_rows = st.integers(1, 25)
_spoken = st.sampled_from(SPOKEN)
_texts = st.lists(_spoken, max_size=4).map(" ".join) | st.text(max_size=4)
_held = st.builds(
    Held,
    seed=st.integers(0, 12),  # few: vectors that are the same
    duration=st.sampled_from(SECONDS) | st.floats(0, 1e6),
    licence=_names,
    source=_names,
    tags=st.lists(_words, max_size=4).map(tuple),
    title=_texts,
    description=_texts,
)


def _some(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.just(()) | st.lists(of, max_size=3).map(tuple)


_asked_words = _words | st.sampled_from(["two words", "", " dog", "\ud800"])
_bounds = st.none() | st.sampled_from([*SECONDS, float("inf")]) | st.floats(0, 1e6)
_FILTERS = st.none() | st.builds(
    lambda low, high, **others: Filter(
        min_duration=low,
        max_duration=high if low is None or high is None else max(low, high),
        **others,
    ),
    low=_bounds,
    high=_bounds,
    all_tags=_some(_asked_words),
    any_tags=_some(_asked_words),
    no_tags=_some(_asked_words),
    licences=_some(_names),
    sources=_some(_names),
    rows=st.none()
    | st.lists(_rows, max_size=12).map(tuple)
    | st.builds(lambda: tuple(range(10, 5_000))),
)


def changes(generation: int, put: dict[int, Held], removed: Collection[int] = ()) -> Changes:
    """As the catalogue hands them out."""
    own = list(put.values())
    return Changes(
        rows=np.array(list(put), dtype=np.int64),
        vectors=np.array([vector(each.seed) for each in own], np.float32).reshape(-1, DIM),
        durations=np.array([each.duration for each in own], dtype=np.float32),
        licences=[each.licence for each in own],
        sources=[each.source for each in own],
        tags=[" ".join(each.tags) for each in own],
        titles=[each.title for each in own],
        descriptions=[each.description for each in own],
        removed=np.array(sorted(removed), dtype=np.int64),
        generation=generation,
    )


def passes(row: int, clip: Held, where: Filter) -> bool:
    """The filter's words, one condition after another."""
    own = {tag.lower() for tag in clip.tags}
    every, some, none = (
        {tag.lower() for tag in each} for each in (where.all_tags, where.any_tags, where.no_tags)
    )
    seconds = np.float32(clip.duration)
    return bool(
        every <= own
        and (not some or some & own)
        and not none & own
        and (where.min_duration is None or seconds >= np.float32(where.min_duration))
        and (where.max_duration is None or seconds <= np.float32(where.max_duration))
        and (not where.licences or clip.licence in where.licences)
        and (not where.sources or clip.source in where.sources)
        and (where.rows is None or row in where.rows)
    )


def held_words(clip: Held, asked: Sequence[str]) -> tuple[float, ...]:
    """Of each word, 1 where title or tags hold it, a half where only the description does."""
    words = stems(f"{clip.title} {' '.join(clip.tags)}")
    described = stems(clip.description)
    return tuple(1.0 if word in words else 0.5 * (word in described) for word in asked)


def is_more(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether of every word as much is held, and of one more."""
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))


class Machine(RuleBasedStateMachine):
    """Writes, searches and reopens a store, and keeps the same in a dictionary."""

    numbers = itertools.count()

    def __init__(self, opened: Opened, snapshot: Path) -> None:
        super().__init__()
        self.opened, self.snapshot = opened, snapshot
        self.library = f"library {next(self.numbers)}"
        self.store: VectorStore = opened(self.library)
        self.model: dict[int, Held] = {}
        self.generation = 0
        self.last = changes(0, {})

    @initialize(put=st.dictionaries(_rows, _held, max_size=25))
    def begin(self, put: dict[int, Held]) -> None:
        self.write(put, set(), 1)

    @rule(
        put=st.dictionaries(_rows, _held, max_size=8),
        gone=st.sets(_rows, max_size=8),
        steps=st.integers(1, 3),
    )
    def write(self, put: dict[int, Held], gone: set[int], steps: int) -> None:
        self.generation += steps
        self.last = changes(self.generation, put, gone - put.keys())
        self.store.apply(self.last)
        self.model = {row: own for row, own in self.model.items() if row not in gone} | put

    @rule()
    def the_last_again(self) -> None:
        self.store.apply(self.last)

    @rule(put=st.dictionaries(_rows, _held, max_size=4), gone=st.sets(_rows), age=st.integers(0, 3))
    def stale(self, put: dict[int, Held], gone: set[int], age: int) -> None:
        self.store.apply(changes(max(0, self.generation - age), put, gone))

    @rule()
    def reopen(self) -> None:
        self.store.settle()
        self.store.save(self.snapshot)
        self.store.close()
        self.store = self.opened(self.library)
        assert self.store.load(self.snapshot)

    @rule()
    def another_library_or_size_is_not_taken_over(self) -> None:
        self.store.save(self.snapshot)
        other = self.opened(self.library + "!")
        assert not other.load(self.snapshot)
        assert (len(other), other.generation) == (0, 0)
        other.close()

    @rule(
        seed=st.integers(0, 30),
        k=st.integers(1, 30) | st.just(1_000_000),
        where=_FILTERS,
        least=st.sampled_from([-1.0, -0.5, 0.1, 0.7]),
        offset=st.integers(0, 20),
    )
    def search(self, seed: int, k: int, where: Filter | None, least: float, offset: int) -> None:
        query = vector(seed)
        exact = {
            row: float(vector(clip.seed) @ query)
            for row, clip in self.model.items()
            if passes(row, clip, where or Filter())
        }
        expected = sorted((one for one in exact.values() if one >= least), reverse=True)
        rows, scores = self.store.search(query, k, where, least=least, offset=offset)
        assert (rows.dtype, scores.dtype, rows.shape) == (np.int64, np.float32, scores.shape)
        np.testing.assert_allclose(scores, expected[offset : offset + k], atol=NEAR, rtol=0)
        own = rows.tolist()
        np.testing.assert_allclose(scores, [exact[row] for row in own], atol=NEAR, rtol=0)
        assert len(set(own)) == len(own)
        assert np.lexsort((rows, -scores)).tolist() == list(range(len(own)))

    @rule(
        asked=st.lists(_spoken, max_size=8),
        k=st.integers(1, 30) | st.just(1_000_000),
        where=_FILTERS,
        seed=st.none() | st.integers(0, 30),
    )
    def match(self, asked: list[str], k: int, where: Filter | None, seed: int | None) -> None:
        words = list(stems(" ".join(asked)))
        held = {
            row: held_words(clip, words)
            for row, clip in self.model.items()
            if any(held_words(clip, words)) and passes(row, clip, where or Filter())
        }
        query = None if seed is None else vector(seed)
        found, shares = self.store.match(words, k, where, query)
        own = found.tolist()
        assert (found.dtype, shares.dtype, found.shape) == (np.int64, np.float32, shares.shape)
        assert len(set(own)) == len(own) == min(k, len(held))
        assert set(own) <= held.keys()
        assert (np.diff(shares) <= 0).all()
        assert ((shares > 0) & (shares <= 1.001)).all()
        near = {row: 0.0 if query is None else vector(self.model[row].seed) @ query for row in held}
        left = held.keys() - own
        for place, (row, share) in enumerate(zip(own, shares.tolist(), strict=True)):
            for other, its in [*zip(own[place + 1 :], shares[place + 1 :].tolist(), strict=True)]:
                assert its == share or held[other] != held[row]
                assert its < share or near[other] <= near[row] + NEAR
                assert its < share or query is not None or other > row
            assert not any(is_more(held[other], held[row]) for other in left)
            for other in left:
                assert held[other] != held[row] or near[other] <= near[row] + NEAR

    @rule(where=_FILTERS)
    def passing(self, where: Filter | None) -> None:
        where = where or Filter()
        found = self.store.passing(where)
        assert found.dtype == np.int64
        assert sorted(found.tolist()) == sorted(
            row for row, clip in self.model.items() if passes(row, clip, where)
        )

    @invariant()
    def counts(self) -> None:
        assert (len(self.store), self.store.generation) == (len(self.model), self.generation)
        assert self.store.kind()
        assert self.store.nbytes() >= 0

    def teardown(self) -> None:
        if isinstance(self.store, MilvusStore):
            self.store.drop()
        self.store.close()


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file of milvus-lite, closed in the end."""
    from milvus_lite.server_manager import server_manager_instance

    uri = str(tmp_path_factory.mktemp("milvus") / "lite.db")
    yield uri
    server_manager_instance.release_server(uri)


@pytest.fixture(params=["flat", "merging", "milvus"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Makes new stores for a library's id, all of one kind."""
    if request.param == "milvus":
        uri = request.getfixturevalue("milvus")
        return lambda library: MilvusStore(library, DIM, uri)
    recent = 8 if request.param == "merging" else 20_000
    return lambda library: FaissStore(library, DIM, recent_most=recent)


def test_any_store_is_like_a_dictionary(opened: Opened, tmp_path: Path) -> None:
    run_state_machine_as_test(
        lambda: Machine(opened, tmp_path / "snapshot"),
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_new_store_is_empty(opened: Opened, tmp_path: Path) -> None:
    store = opened("new")
    assert not store.load(tmp_path / "none")
    rows, scores = store.search(vector(1), 10)
    assert (rows.shape, scores.shape, rows.dtype, scores.dtype) == (
        (0,), (0,), np.int64, np.float32,
    )  # fmt: skip
    assert (len(store), store.generation, store.passing(Filter()).tolist()) == (0, 0, [])
    store.close()


def test_pages_of_equal_scores_hold_each_row_once(opened: Opened) -> None:
    """Forty clips of one vector, in the order of their rows, whatever the page."""
    store = opened("equal")
    same = Held(3, 1.0, "", "", ())
    store.apply(changes(1, dict.fromkeys((*range(40, 20, -1), *range(1, 21)), same)))
    for size in (3, 7, 40):
        pages = [store.search(vector(5), size, offset=start)[0] for start in range(0, 40, size)]
        assert np.concatenate(pages).tolist() == list(range(1, 41)), size
    store.close()


def test_a_library_of_many_batches(opened: Opened) -> None:
    generator = np.random.default_rng(0)
    own = {row: Held(row, float(row), "", "", (f"t{row % 7}",)) for row in range(1, 5_001)}
    store = opened("many")
    vectors = generator.standard_normal((5_000, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    many = changes(1, {row: Held(0, 1, "", "", ()) for row in own})
    many = Changes(
        many.rows, vectors, many.rows.astype(np.float32), many.licences, many.sources,
        [each.tags[0] for each in own.values()], many.removed, 1,
    )  # fmt: skip
    store.apply(many)
    store.apply(changes(2, {}, set(range(1, 2_501))))
    assert len(store) == 2_500
    kept = np.arange(2_501, 5_001)
    assert sorted(store.passing(Filter()).tolist()) == kept.tolist()
    where = Filter(any_tags=("T3",), max_duration=4_000)
    passing = kept[(kept % 7 == 3) & (kept <= 4_000)]
    order = np.argsort(-(vectors[passing - 1] @ vector(1)))
    assert store.search(vector(1), 50, where)[0].tolist() == passing[order[:50]].tolist()
    store.close()


def test_a_filter_that_makes_no_sense_reaches_no_store() -> None:
    with pytest.raises(FilterError, match="duration: expected 0 ≤ minimum ≤ maximum"):
        Filter(min_duration=2.0, max_duration=1.0)
