"""What every vector store does, held against a dictionary: any writes, filters and reopenings.

One suite for FAISS (flat, with and without merges all the time) and for Milvus (milvus-lite, or
a real one where EARMARK_TEST_MILVUS names it).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    run_state_machine_as_test,
)

from earmark.index.errors import FilterError
from earmark.index.lexical.expansion import RelatedWord
from earmark.index.lexical.term_weights import RELATED_SHARE
from earmark.index.lexical.terms import query_terms
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter, RowSet, SearchRequest
from tests.index.made import vector
from tests.index.stores.clip_model import (
    DATES,
    DAYS,
    DIM,
    LOUDNESS,
    NAMES,
    RATES,
    SECONDS,
    WORDS,
    Held,
    changes,
    grown,
    held_words,
    passes,
)
from tests.index.stores.milvus import server
from tests.index.stores.store_machine import Machine, Opened

TAGS = ("all_tags", "any_tags", "no_tags")
BOUNDS = ("min_duration", "max_duration")


@pytest.fixture(scope="module")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file of milvus-lite, closed in the end; a real Milvus where one is named."""
    from milvus_lite.server_manager import server_manager_instance

    if server.named():
        with server.cleared(server.named()) as uri:
            yield uri
        return
    uri = str(tmp_path_factory.mktemp("milvus") / "lite.db")
    yield uri
    server_manager_instance.release_server(uri)


@pytest.fixture(params=["flat", "merging", pytest.param("milvus", marks=pytest.mark.slow)])
def opened(request: pytest.FixtureRequest) -> Opened:
    """Makes new stores for a library's id, all of one kind."""
    if request.param == "milvus":
        uri = request.getfixturevalue("milvus_uri")
        return lambda library: MilvusStore(library, DIM, uri)
    recent = 8 if request.param == "merging" else 20_000
    return lambda library: FaissStore(library, DIM, max_recent=recent)


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
    assert len(store.search(vector(5), 40, min_score=least)[0]) == 40  # as good counts as at least
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
            loudness=LOUDNESS[row % len(LOUDNESS)] if row % 4 else None,
            added=DAYS[row % len(DAYS)],
            sample_rate=RATES[row % len(RATES)],
            channels=1 + row % 3,
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
    filters += [
        Filter(**{bound: each})
        for bound in ("min_loudness", "max_loudness")
        for each in (*LOUDNESS, -math.inf, math.inf)
    ]
    filters += [Filter(added_after=each) for each in DATES]
    filters += [Filter(added_before=each) for each in DATES]
    filters += [Filter(sample_rates=(44_100, each)) for each in (8_000, 96_000)]
    filters += [Filter(channels=each) for each in ((1,), (2, 3), (2**31,))]
    filters += [Filter(up_to=row) for row in (0, 1, 7, 1_000)]
    filters += [Filter(but=row) for row in (0, 1, 7)]
    filters += [Filter(rows=rows) for rows in ((), (3,), (9, 4, 1_000), tuple(range(5, 9_000)))]
    filters += [
        Filter(members=RowSet(np.array(rows, np.int64)), all_tags=tags)
        for rows in ((), (3,), (4, 9, 1_000), range(5, 9_000))
        for tags in ((), ("dog",))
    ]
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


def test_related_words_stand_for_those_that_nobody_holds(opened: Opened) -> None:
    store = opened("related")
    titles = ["dog", "dog hound", "cat", "cat", "rain dog", "rain", "hound", "wolf"]
    clips = {row: Held(row, 1.0, "", "", (), title) for row, title in enumerate(titles, 1)}
    store.apply(changes(1, clips))
    near = tuple(RelatedWord(word, word, 0.5) for word in ("fox", "dog", "cat"))
    related = {"puppi": near, "rain": (RelatedWord("cat", "cat", 0.9),), "none": ()}
    # "rain" is held, and nothing stands for it; what stands for "puppi" counts half as much.
    rain, dog, cat = (math.log(1 + 8 / count) for count in (2, 3, 2))
    weights = store.weights(("rain", "puppi", "none"), related)
    expected = {"rain": rain, "dog": dog / 2, "cat": cat / 2}
    scale = min(1.0, RELATED_SHARE * cat / (dog / 2 + cat / 2))
    assert weights == {
        word: pytest.approx(own * (1 if word == "rain" else scale) / (rain + cat), abs=1e-4)
        for word, own in expected.items()
    }
    assert store.weights(("rain",), {"rain": related["rain"]}) == {"rain": 1.0}
    assert store.weights(("fox",), {"fox": ()}) == {}
    query, words = vector(3), {"rain": "rain", "puppi": "puppy"}
    (found,) = store.candidates([SearchRequest(vector=query, stems=words, related=related)], 10)
    assert found.weights == weights
    rows, shares = store.match(weights, 10, None, query)
    assert found.matching.tolist() == rows.tolist()
    assert found.matching.tolist()[0] == 5  # rain and dog
    assert dict(zip(rows.tolist(), shares.tolist(), strict=True)) == {
        row: pytest.approx(sum(weights.get(word, 0) for word in title.split()), abs=1e-4)
        for row, title in enumerate(titles, 1)
        if {*title.split()} & weights.keys()
    }
    # Beside the words: it adds to them, and nothing is the less for it.
    both = {"rain": 1.0, "dog": pytest.approx(0.5 * dog / rain, abs=1e-4)}
    assert store.weights(("rain",), {"raindog": (RelatedWord("dog", "dog", 0.5),)}) == both
    store.apply(changes(2, {9: Held(9, 1.0, "", "", (), "puppies")}))
    assert "dog" not in store.weights(("rain", "puppi"), related)
    store.close()


def test_beginnings_stand_for_all_words_that_begin_so(opened: Opened) -> None:
    store = opened("beginnings")
    titles = {1: "thunder", 2: "rain", 3: "thunderstorm thunder", 4: "", 5: "thumb", 6: "Thursdays"}
    clips = {row: Held(row, 1.0, "", "", (), title) for row, title in titles.items()}
    clips[4] = Held(4, 1.0, "", "", (), "wind", "a thunderstorm, thundering")
    store.apply(changes(1, clips))
    half = {"thund": (RelatedWord("thund*", "thund", 0.9),)}
    assert store.weights(("thund",), half) == {"thund*": 0.9}
    assert store.weights(("thund", "rain"), half)["rain"] > 0.5
    for term, found in (("thund*", [1, 3, 4]), ("thu*", [1, 3, 5, 6, 4]), ("thx*", [])):
        rows, shares = store.match({term: 0.8}, 10)
        assert rows.tolist() == found
        assert shares.tolist() == pytest.approx([0.4 if row == 4 else 0.8 for row in found])
    store.apply(changes(2, {}, {1, 3}))
    assert store.match({"thund*": 0.8}, 10)[0].tolist() == [4]
    store.close()


def test_parts_of_a_run_that_nobody_holds_count(opened: Opened) -> None:
    store = opened("runs")
    titles = ("雷雨", "雷雨の音", "雨", "rain")
    clips = {row: Held(row, 1.0, "", "", (), title) for row, title in enumerate(titles, 1)}
    store.apply(changes(1, clips))
    asked = query_terms("雷雨警報")
    rows, shares = store.match(store.weights(tuple(asked)), 10)
    assert rows.tolist() == [1, 2]
    whole = math.log(1 + 4 / 2) + 2 * math.log(1 + 4)
    share = 1 / 3 if store.shared else math.log(1 + 4 / 2) / whole  # counted together
    assert shares.tolist() == pytest.approx([share] * 2, abs=1e-4)
    rows, shares = store.match(store.weights(tuple(query_terms("雷雨"))), 10)
    assert (rows.tolist(), shares[0]) == ([1, 2], pytest.approx(1, abs=1e-3))
    assert shares[1] < 1  # the word before what holds it
    store.close()


def test_a_filter_that_makes_no_sense_reaches_no_store() -> None:
    with pytest.raises(FilterError, match="duration: expected 0 ≤ minimum ≤ maximum"):
        Filter(min_duration=2.0, max_duration=1.0)
    for low, high in ((-10.0, -20.0), (math.nan, None), (None, math.nan)):
        with pytest.raises(FilterError, match="loudness: expected minimum ≤ maximum"):
            Filter(min_loudness=low, max_loudness=high)
    for text in ("x", "26", "2026-13", "2026-02-29", "2026-11-30T10:00", "０００１", "+2026"):
        with pytest.raises(FilterError, match="added_before: expected a year, a month or a day"):
            Filter(added_before=text)


def test_a_clip_is_found_by_its_nearest_window(opened: Opened) -> None:
    """However many windows lie nearer than other clips' vectors, each clip is found once."""
    store = opened("windows")
    long = Held(1, 600.0, "CC0-1.0", "", ("rain",), windows=tuple(range(100, 400)))
    short = {row: Held(row, 1.0, "CC-BY-4.0", "", ("dog",)) for row in range(2, 12)}
    clips = {1: long, **short}
    store.apply(changes(1, clips))
    for seed in (1, 7, 150, 399, 1_000):
        query = vector(seed)
        by_clip = sorted(clips, key=lambda row: (-clips[row].nearness(query), row))
        for k in (1, 3, 11, 50):
            rows, scores = store.search(query, k)
            assert rows.tolist() == by_clip[:k]
            np.testing.assert_allclose(
                scores, [clips[row].nearness(query) for row in by_clip[:k]], atol=1e-5
            )
    # Filters are of clips.
    assert store.search(vector(150), 20, Filter(no_tags=("rain",)))[0].tolist() == sorted(
        short, key=lambda row: -clips[row].nearness(vector(150))
    )
    assert store.search(vector(150), 20, Filter(min_duration=100))[0].tolist() == [1]
    assert len(store) == 11
    # Of a changed clip no window stays, and of a removed one neither.
    store.apply(changes(2, {1: Held(1, 600.0, "CC0-1.0", "", ("rain",), windows=(100, 101))}))
    now = {1: Held(1, 600.0, "CC0-1.0", "", ("rain",), windows=(100, 101)), **short}
    rows, scores = store.search(vector(150), 1)
    best = max(now, key=lambda row: now[row].nearness(vector(150)))
    assert rows.tolist() == [best]
    assert float(scores[0]) == pytest.approx(now[best].nearness(vector(150)), abs=1e-5)
    store.apply(changes(3, {}, [1]))
    assert 1 not in store.search(vector(100), 50)[0]
    assert len(store) == 10
    store.close()
