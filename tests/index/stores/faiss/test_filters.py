"""The FAISS store under filters, while segments are merged, and when it searches by lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.errors import FilterError
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter
from tests.index import made
from tests.index.made import vector
from tests.index.stores.faiss.test_store import _STEP, DIM, followed

FILTERS = st.builds(
    Filter,
    all_tags=st.sampled_from([(), ("dog",), ("DOG", "bark"), ("rain",), ("cat",)]),
    any_tags=st.sampled_from([(), ("rain", "cat"), ("rain", "bark")]),
    no_tags=st.sampled_from([(), ("rain",), ("bark", "rain")]),
    min_duration=st.sampled_from([None, 0.0, 0.5]),
    max_duration=st.sampled_from([None, 0.7, 1.0]),
    licences=st.sampled_from([(), ("CC0-1.0",), ("CC0-1.0", "CC-BY-4.0"), ("none",)]),
    sources=st.sampled_from([(), ("two",)]),
    rows=st.sampled_from([None, (), (1, 3, 5, 99)]),
)


def passes(row: int, where: Filter) -> bool:
    """What `made.changes` says of a row, held against a filter, one condition after another."""
    tags = {"dog", "bark"} if row % 5 else {"rain"}
    wanted = [{tag.lower() for tag in each} for each in (where.all_tags, where.any_tags)]
    duration = float(np.float32(row / 10))
    return (
        wanted[0] <= tags
        and (not wanted[1] or bool(wanted[1] & tags))
        and not set(where.no_tags) & tags
        and (where.min_duration is None or duration >= np.float32(where.min_duration))
        and (where.max_duration is None or duration <= np.float32(where.max_duration))
        and (not where.licences or ("CC0-1.0" if row % 2 else "CC-BY-4.0") in where.licences)
        and (not where.sources or ("one" if row % 3 else "two") in where.sources)
        and (where.rows is None or row in where.rows)
    )


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(_STEP, max_size=10),
    k=st.integers(1, 20),
    where=FILTERS,
    recent=st.integers(0, 6),
)
def test_filters_equal_brute_force_whatever_is_merged(
    steps: list[tuple[dict[int, int], set[int]]], k: int, where: Filter, recent: int
) -> None:
    store = FaissStore("mine", DIM, max_recent=recent)
    model = followed(store, steps)
    query = vector(12_345)
    exact = {row: float(own @ query) for row, own in model.items() if passes(row, where)}
    for _ in ("while it merges", "after"):
        rows, scores = store.search(query, k, where)
        np.testing.assert_allclose(scores, sorted(exact.values(), reverse=True)[:k], atol=1e-6)
        assert [exact[row] for row in rows.tolist()] == pytest.approx(scores.tolist(), abs=1e-6)
        assert sorted(store.passing(where).tolist()) == sorted(exact)
        assert len(store) == len(model)
        store.wait_until_idle()
    high = store.search(query, k, where, min_score=0.25)[1]
    assert len(high) == sum(score >= 0.25 for score in scores)


def large(generator: np.random.Generator, count: int = 6_000, dim: int = 16) -> np.ndarray:
    """Unit vectors in clusters, as sounds are."""
    centres = generator.standard_normal((60, dim))
    vectors = centres[generator.integers(0, 60, count)] + generator.standard_normal((count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def recall(store: FaissStore, vectors: np.ndarray, rows: np.ndarray, where: Filter) -> float:
    """Share of the true ten nearest that are found, over twenty queries."""
    keep = np.isin(rows, store.passing(where))
    hits = []
    for query in vectors[::300]:
        true = rows[keep][np.argsort(-(vectors[keep] @ query))[:10]]
        hits.append(np.isin(true, store.search(query, 10, where)[0]).mean())
    return float(np.mean(hits))


def some_filters(rows: np.ndarray) -> list[Filter]:
    """That let all, a half, a tenth, a hundredth and three of the rows pass."""
    return [
        Filter(),
        Filter(max_duration=float(np.median(rows)) / 10),
        Filter(all_tags=("rain",), licences=("CC0-1.0",)),
        Filter(rows=tuple(rows[::100].tolist())),
        Filter(rows=tuple(rows[-3:].tolist())),
    ]


def test_lists_hold_their_recall_with_and_without_filters(tmp_path: Path) -> None:
    """Also once clips have come, changed and gone, and through a snapshot."""
    generator = np.random.default_rng(0)
    vectors, rows = large(generator), np.arange(1, 6_001)
    store = FaissStore("mine", 16, max_flat=2_000, max_recent=300)
    store.apply(made.changes(1, rows, vectors))
    assert "inverted lists" in store.description()
    for where in some_filters(rows):
        assert recall(store, vectors, rows, where) >= 0.97, where
    for generation in range(2, 12):  # each adds, changes and removes; some merge
        fresh = large(generator, 150)
        own = np.concatenate([rows[-50:], rows.max() + 1 + np.arange(100)])
        gone = rows[:40]
        store.apply(made.changes(generation, own, fresh, gone.tolist()))
        rows, vectors = rows[40:-50], vectors[40:-50]
        rows, vectors = np.concatenate([rows, own]), np.concatenate([vectors, fresh])
    assert len(store) == len(rows)
    for _ in ("while it merges", "after"):
        assert sorted(store.passing(Filter()).tolist()) == sorted(rows.tolist())
        for where in some_filters(rows):
            assert recall(store, vectors, rows, where) >= 0.97, where
        store.wait_until_idle()
    store.save(tmp_path / "snapshot")
    again = FaissStore("mine", 16, max_flat=2_000, max_recent=300)
    assert again.load(tmp_path / "snapshot")
    assert (len(again), again.description()) == (len(store), store.description())
    query = vectors[7]
    np.testing.assert_array_equal(again.search(query, 50)[0], store.search(query, 50)[0])
    assert again.search(query, 1)[1][0] == pytest.approx(1, abs=2e-3)


def test_a_base_that_grows_fourfold_gets_new_lists() -> None:
    generator = np.random.default_rng(1)
    store = FaissStore("mine", 16, max_flat=1_000, max_recent=500)
    first, then = large(generator, 1_500), large(generator, 6_000)
    store.apply(made.changes(1, np.arange(1, 1_501), first))
    before = store.description()
    store.apply(made.changes(2, np.arange(1_501, 7_501), then))
    store.wait_until_idle()
    assert store.description().split(" inverted")[0] != before.split(" inverted")[0]
    everything = np.concatenate([first, then])
    assert recall(store, everything, np.arange(1, 7_501), Filter()) >= 0.97


def test_a_filter_that_makes_no_sense() -> None:
    for low, high in ((2.0, 1.0), (-1.0, None), (None, -0.5), (float("nan"), None)):
        with pytest.raises(FilterError, match="duration: expected 0 ≤ minimum ≤ maximum"):
            Filter(min_duration=low, max_duration=high)


def test_a_merge_that_fails_costs_nothing_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory runs out in the thread that merges; what was written is still found."""
    store = FaissStore("mine", DIM, max_recent=4)
    for generation in range(1, 4):
        rows = np.arange(4 * generation, 4 * generation + 4)
        vectors = np.stack([vector(row) for row in rows.tolist()])
        store.apply(made.changes(generation, rows, vectors))
        store.wait_until_idle()
    before = len(store)

    def full(*_: object) -> None:
        raise MemoryError

    rows = np.arange(100, 120)
    vectors = np.stack([vector(row) for row in rows.tolist()])
    with monkeypatch.context() as patch:
        patch.setattr(FaissStore, "_merged", full)
        store.apply(made.changes(4, rows, vectors))
        store.wait_until_idle()
    assert "merging failed" in caplog.text
    assert len(store) == before + 20
    assert store.search(vector(110), 1)[0].tolist() == [110]
    store.apply(made.changes(5, np.array([200]), vector(200)[None]))
    store.wait_until_idle()
    assert store.description().endswith("; 0 recent clips beside it")
    assert len(store) == before + 21
