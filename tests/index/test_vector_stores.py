"""What every vector store does, held against a dictionary: any writes, filters and reopenings.

One suite for FAISS (flat, with and without merges all the time) and for Milvus (milvus-lite).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
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
from index.records import Array, Rows
from index.stems import stems
from index.vectors import VectorStore, Wanted
from tests.index.held import (
    DIM,
    FILTERS,
    HELD,
    NAMES,
    ROWS,
    SECONDS,
    SPOKEN_WORDS,
    WORDS,
    Held,
    changes,
    grown,
    held_words,
    is_more,
    passes,
)
from tests.index.made import vector

NEAR = 1e-5  # scores as near as this count as equal

TAGS = ("all_tags", "any_tags", "no_tags")
BOUNDS = ("min_duration", "max_duration")

Opened = Callable[[str], VectorStore]


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

    @initialize(put=st.dictionaries(ROWS, HELD, max_size=25))
    def begin(self, put: dict[int, Held]) -> None:
        self.write(put, set(), 1)

    @rule(
        put=st.dictionaries(ROWS, HELD, max_size=8),
        gone=st.sets(ROWS, max_size=8),
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

    @rule(put=st.dictionaries(ROWS, HELD, max_size=4), gone=st.sets(ROWS), age=st.integers(0, 3))
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
        where=FILTERS,
        least=st.sampled_from([-1.0, -0.5, 0.1, 0.7]),
        offset=st.integers(0, 20),
    )
    def search(self, seed: int, k: int, where: Filter | None, least: float, offset: int) -> None:
        found = self.store.search(vector(seed), k, where, least=least, offset=offset)
        self.nearest(found, seed, k, where, least, offset)

    def nearest(
        self,
        found: tuple[Rows, Array],
        seed: int,
        k: int,
        where: Filter | None,
        least: float = -1.0,
        offset: int = 0,
    ) -> None:
        """They are what a search should find."""
        query = vector(seed)
        rows, scores = found
        exact = {
            row: float(vector(clip.seed) @ query)
            for row, clip in self.model.items()
            if passes(row, clip, where or Filter())
        }
        expected = sorted((one for one in exact.values() if one >= least), reverse=True)
        assert (rows.dtype, scores.dtype, rows.shape) == (np.int64, np.float32, scores.shape)
        np.testing.assert_allclose(scores, expected[offset : offset + k], atol=NEAR, rtol=0)
        own = rows.tolist()
        np.testing.assert_allclose(scores, [exact[row] for row in own], atol=NEAR, rtol=0)
        assert len(set(own)) == len(own)
        assert np.lexsort((rows, -scores)).tolist() == list(range(len(own)))

    @rule(
        asked=st.lists(SPOKEN_WORDS, max_size=8),
        k=st.integers(1, 30) | st.just(1_000_000),
        where=FILTERS,
        seed=st.none() | st.integers(0, 30),
    )
    def match(self, asked: list[str], k: int, where: Filter | None, seed: int | None) -> None:
        words = list(stems(" ".join(asked)))
        query = None if seed is None else vector(seed)
        self.matching(self.store.match(words, k, where, query), words, k, where, seed)

    def matching(
        self,
        answer: tuple[Rows, Array],
        words: list[str],
        k: int,
        where: Filter | None,
        seed: int | None,
    ) -> None:
        """They are what hold the words."""
        query = None if seed is None else vector(seed)
        held = {
            row: held_words(clip, words)
            for row, clip in self.model.items()
            if any(held_words(clip, words)) and passes(row, clip, where or Filter())
        }
        found, shares = answer
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

    @rule(
        asked=st.lists(
            st.tuples(st.lists(SPOKEN_WORDS, max_size=3), FILTERS, st.none() | st.integers(0, 30)),
            max_size=4,
        ),
        most=st.integers(1, 30) | st.just(1_000),
    )
    def candidates(
        self, asked: list[tuple[list[str], Filter | None, int | None]], most: int
    ) -> None:
        wanted = [
            Wanted(
                None if seed is None else vector(seed),
                tuple(stems(" ".join(words))),
                where or Filter(),
            )
            for words, where, seed in asked
        ]
        found = self.store.candidates(wanted, most)
        for own, each, (_, where, seed) in zip(found, wanted, asked, strict=True):
            if seed is None:
                assert len(own.near) == len(own.cosines) == 0
            else:
                self.nearest((own.near, own.cosines), seed, most, where)
            self.matching((own.holding, own.shares), list(each.words), most, where, seed)

    @rule(where=FILTERS)
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
        assert self.store.most_at_once is None or self.store.most_at_once > 0

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
    least = float(store.search(vector(5), 1)[1][0])
    assert len(store.search(vector(5), 40, least=least)[0]) == 40  # as good counts as at least
    store.close()


def test_every_condition_with_every_odd_name(opened: Opened) -> None:
    tags, names = list(map(grown, WORDS)), list(map(grown, NAMES))
    clips = {
        row: Held(
            seed=row,
            duration=SECONDS[row % len(SECONDS)],
            licence=names[row % len(names)],
            source=names[-row % len(names)],
            tags=(tags[row % len(tags)], tags[2 * row % len(tags)]) if row % 6 else (),
        )
        for row in range(1, 2 * len(names))
    }
    store = opened("odd")
    store.apply(changes(1, clips))
    asked = [*tags, *map(str.upper, tags), "two words", "", "\ud800"]
    filters = [Filter(**{kind: (tag,)}) for kind in TAGS for tag in asked]
    filters += [Filter(**{kind: (name,)}) for kind in ("licences", "sources") for name in names]
    filters += [
        Filter(no_tags=tuple(asked)),
        Filter(any_tags=tuple(asked)),
        Filter(all_tags=("dog", "BARK")),
    ]
    filters += [Filter(**{kind: each}) for kind in BOUNDS for each in (*SECONDS, float("inf"))]
    filters += [Filter(up_to=row) for row in (0, 1, 7, 1_000)]
    filters += [Filter(but=row) for row in (0, 1, 7)]
    filters += [Filter(rows=rows) for rows in ((), (3,), (9, 4, 1_000), tuple(range(5, 9_000)))]
    for where in filters:
        own = sorted(row for row, clip in clips.items() if passes(row, clip, where))
        assert sorted(store.passing(where).tolist()) == own, where
        assert sorted(store.search(vector(1), 100, where)[0].tolist()) == own, where
    store.close()


def many(count: int = 5_000) -> dict[int, Held]:
    """Clips of eight words, each held by another share of them."""
    words = [f"w{number}" for number in range(8)]
    return {
        row: Held(
            seed=row,
            duration=float(row),
            licence="",
            source="",
            tags=(f"t{row % 7}",),
            title=" ".join(word for place, word in enumerate(words) if row % (place + 2) == 0),
            description=" ".join(
                word for place, word in enumerate(words) if row % (place + 3) == 1
            ),
        )
        for row in range(1, count + 1)
    }


def test_a_library_of_many_batches(opened: Opened) -> None:
    store, clips = opened("many"), many()
    written = changes(1, clips)
    vectors = written.vectors
    store.apply(written)
    store.apply(changes(2, {}, range(1, 2_501)))
    assert len(store) == 2_500
    kept = np.arange(2_501, 5_001)
    assert sorted(store.passing(Filter()).tolist()) == kept.tolist()
    where = Filter(any_tags=("T3",), max_duration=4_000)
    passing = kept[(kept % 7 == 3) & (kept <= 4_000)]
    order = np.argsort(-(vectors[passing - 1] @ vector(1)))
    assert store.search(vector(1), 50, where)[0].tolist() == passing[order[:50]].tolist()
    store.close()


@pytest.mark.parametrize(
    "asked", [["w0"], ["w6", "w1", "nowhere"], ["w5", "w3", "w7", "w0", "w1", "w2"]]
)
@pytest.mark.parametrize("near", [True, False])
def test_shares_of_words_are_by_inverse_document_frequency(
    opened: Opened, asked: list[str], near: bool
) -> None:
    store, clips = opened("words"), many(1_000)
    store.apply(changes(1, clips))
    held = {row: held_words(clip, asked) for row, clip in clips.items()}
    counts = [sum(each[place] > 0 for each in held.values()) for place in range(len(asked))]
    weights = [math.log(1 + len(clips) / count) if count else 0.0 for count in counts]
    weights = [round(weight / sum(weights), 4) for weight in weights]
    shares = {
        row: sum(weight * part for weight, part in zip(weights, each, strict=True))
        for row, each in held.items()
    }
    where, query = Filter(no_tags=("t3",)), vector(10_000)
    passing = [row for row, clip in clips.items() if passes(row, clip, where) and shares[row]]
    nearness = {row: float(vector(row) @ query) if near else -row for row in passing}
    passing.sort(key=lambda row: (-round(shares[row], 6), -nearness[row]))
    for k in (1, 40, 100_000):
        rows, found = store.match(asked, k, where, query if near else None)
        assert rows.tolist() == passing[:k]
        np.testing.assert_allclose(found, [shares[row] for row in passing[:k]], atol=2e-4)
    store.close()


def test_a_filter_that_makes_no_sense_reaches_no_store() -> None:
    with pytest.raises(FilterError, match="duration: expected 0 ≤ minimum ≤ maximum"):
        Filter(min_duration=2.0, max_duration=1.0)
