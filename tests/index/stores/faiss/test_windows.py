"""Windows in the FAISS store: recall of clips in inverted lists, and snapshots from before them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.index.catalogue.records import Changes
from earmark.index.stores import snapshot
from earmark.index.stores.faiss import segment
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter, SearchRequest
from tests.index import made
from tests.index.made import vector

DIM, WINDOWS = 16, 8


def long_clips(rows: np.ndarray, seed: int, generation: int = 1, spread: float = 0.6) -> Changes:
    """Clips whose windows lie near their own vector, and one of them far from it where they are
    spread."""
    generator = np.random.default_rng(seed)
    own = generator.standard_normal((len(rows), 1, DIM))
    windows = own + spread * generator.standard_normal((len(rows), WINDOWS, DIM))
    if spread > 0.1:
        windows[:, 3] = generator.standard_normal((len(rows), DIM))
    vectors = np.concatenate([own, windows], axis=1).reshape(-1, DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    short = made.changes(generation, rows, own[:, 0].astype(np.float32))
    ends = (WINDOWS + 1) * np.arange(1, len(rows) + 1)
    return Changes(**{**vars(short), "vectors": vectors.astype(np.float32), "ends": ends})


def recall(store: FaissStore, changes: Changes, where: Filter, queries: np.ndarray) -> float:
    """The share of the ten nearest clips, each by its nearest vector, that the store finds."""
    passing = np.isin(changes.rows, store.passing(where))
    shares = []
    for query in queries:
        best = (changes.vectors @ query).reshape(-1, WINDOWS + 1).max(axis=1)
        nearest = changes.rows[passing][np.argsort(-best[passing])[:10]]
        shares.append(np.isin(nearest, store.search(query, 10, where)[0]).mean())
    return float(np.mean(shares))


def test_lists_find_the_clips_of_the_nearest_windows(tmp_path: Path) -> None:
    """Also of clips that come and go in merges, and through a snapshot."""
    store = FaissStore("mine", DIM, max_flat=2_000, max_recent=1_500)
    first = long_clips(np.arange(1, 601), 1)
    store.apply(first)
    assert "inverted lists" in store.description()
    queries = first.vectors[np.random.default_rng(2).choice(len(first.vectors), 40)]
    filters = [Filter(), Filter(max_duration=30.0), Filter(licences=("CC0-1.0",), up_to=40)]
    for where in filters:
        assert recall(store, first, where, queries) >= 0.97, where
    later = long_clips(np.arange(501, 801), 3, 2)  # 100 of them have changed
    store.apply(later)
    kept = len(first.rows) - 100
    now = Changes(
        **{
            **vars(later),
            "rows": np.concatenate([first.rows[:kept], later.rows]),
            "vectors": np.concatenate([first.vectors[: kept * (WINDOWS + 1)], later.vectors]),
        }
    )
    for _ in ("while it merges", "after"):
        assert len(store) == 800
        for where in filters:
            assert recall(store, now, where, queries) >= 0.97, where
        store.wait_until_idle()
    store.save(tmp_path / "snapshot")
    again = FaissStore("mine", DIM, max_flat=2_000, max_recent=1_500)
    assert again.load(tmp_path / "snapshot")
    assert (len(again), again.outdated) == (800, False)
    for query in queries[:5]:
        for own, other in zip(store.search(query, 30), again.search(query, 30), strict=True):
            np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("max_flat", [10, 10_000])
def test_scores_of_the_windows_of_one_clip(max_flat: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are, in their order; in lists, where a clip has many."""
    store = FaissStore("mine", DIM, max_flat=max_flat, max_recent=10)
    changes = long_clips(np.arange(1, 61), 1)
    store.apply(changes)
    store.wait_until_idle()
    query = vector(5, DIM)
    assert store.window_scores(query, 99) is None
    assert (store.window_scores(query, 7) is None) == (max_flat == 10)
    monkeypatch.setattr(segment, "SCATTERED", WINDOWS)
    own = changes.vectors.reshape(60, 1 + WINDOWS, DIM)[6, 1:]
    np.testing.assert_allclose(store.window_scores(query, 7), own @ query, atol=2e-3)


def test_clips_that_hold_the_words_are_found_where_the_search_by_vector_misses_them() -> None:
    """Sounds of hours hold most vectors of a library, and its lists are not all probed."""
    store = FaissStore("mine", DIM, max_flat=100, max_recent=100)
    changes = long_clips(np.arange(1, 61), 5, spread=0.01)
    store.apply(Changes(**{**vars(changes), "titles": ["Forest"] * 60}))
    state = store._state
    store._state = replace(state, base=replace(state.base, probes=1))
    request = SearchRequest(vector=vector(3, DIM), stems={"forest": "forest"})
    (found,) = store.candidates([request], 100)
    assert sorted(found.matching.tolist()) == list(range(1, 61))
    assert found.matching_cosines is not None
    missed = np.isnan(found.matching_cosines)
    assert 0 < missed.sum() < 60
    best = (changes.vectors @ request.vector).reshape(60, -1).max(axis=1)
    np.testing.assert_allclose(
        found.matching_cosines[~missed], best[found.matching[~missed] - 1], atol=2e-3
    )


def test_a_snapshot_from_before_windows_is_searched_and_written_until_it_is_replaced(
    tmp_path: Path,
) -> None:
    rows = np.arange(1, 31)
    store = FaissStore("mine", DIM)
    store.apply(made.changes(1, rows, np.stack([vector(row, DIM) for row in rows.tolist()])))
    file = tmp_path / "snapshot"
    made.save_without_windows(store, file)
    fresh = FaissStore("mine", DIM)
    assert not fresh.load(file)
    assert fresh.load(file, outdated=True)
    assert fresh.outdated
    assert fresh.search(vector(7, DIM), 1)[0].tolist() == [7]
    fresh.apply(long_clips(np.arange(31, 41), 4, 2))
    assert (len(fresh), fresh.generation) == (40, 2)
    fresh.save(file)  # as it is: windows are missing
    header, _ = snapshot.read(file)
    assert header["texts"] == 0  # the versions before refuse it: they know no clip of many vectors
    assert not FaissStore("mine", DIM).load(file)
    assert fresh.load(file, outdated=True)
    assert len(fresh) == 40
    fresh.drop()
    assert not fresh.outdated
    assert not FaissStore("another", DIM).load(file, outdated=True)
