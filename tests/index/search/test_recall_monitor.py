"""Recall of the index against exact search, measured on searches as they come."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.search.recall_monitor import (
    NEIGHBOURS,
    Cancelled,
    RecallMonitor,
    exact_neighbours,
    recall,
)
from earmark.index.stores.factory import catch_up
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter
from tests.index import made
from tests.index.made import vector

DIM = 4
MANY = 3_000


def lists(probes: int) -> FaissStore:
    """A store of MANY clips in inverted lists, of which a search looks into `probes`."""
    store = FaissStore("mine", DIM, max_flat=100)
    vectors = np.stack([vector(row) for row in range(1, MANY + 1)])
    store.apply(made.changes(1, np.arange(1, MANY + 1), vectors))
    store.wait_until_idle()
    assert store._state.base.probes
    store._state = replace(store._state, base=replace(store._state.base, probes=probes))
    return store


def brute_force(query: np.ndarray, rows: range | list[int]) -> list[int]:
    """The ten rows nearest to a query, by a loop over all."""
    scores = {row: float(vector(row).astype(np.float16) @ query) for row in rows}
    return sorted(scores, key=lambda row: -scores[row])[:NEIGHBOURS]


def test_exact_looks_at_every_vector_whatever_the_index_does(catalogue: Catalogue) -> None:
    store, query = lists(probes=1), vector(99_999)
    found = exact_neighbours(store, catalogue, query, NEIGHBOURS)
    assert found.tolist() == brute_force(query, range(1, MANY + 1))
    odd = Filter(licences=("CC0-1.0",))
    found = exact_neighbours(store, catalogue, query, NEIGHBOURS, odd)
    assert found.tolist() == brute_force(query, range(1, MANY + 1, 2))


def test_recall_is_the_share_that_the_index_found(catalogue: Catalogue) -> None:
    narrow, shares = lists(probes=1), []
    for seed in range(50_000, 50_030):
        found, _ = narrow.search(vector(seed), NEIGHBOURS)
        wanted = brute_force(vector(seed), range(1, MANY + 1))
        share = recall(narrow, catalogue, vector(seed))
        assert share == pytest.approx(len(set(found.tolist()) & set(wanted)) / NEIGHBOURS)
        shares.append(share)
    assert 0.2 < np.mean(shares) < 0.95  # it sees what one list misses
    wide = lists(probes=10_000)
    assert {recall(wide, catalogue, vector(seed)) for seed in range(20)} == {1.0}


def test_nothing_is_said_where_nothing_passes(catalogue: Catalogue) -> None:
    store = lists(probes=1)
    assert recall(store, catalogue, vector(1), Filter(licences=("none",))) is None
    assert recall(FaissStore("empty", DIM), catalogue, vector(1)) is None


def test_milvus_is_compared_with_the_catalogue(
    catalogue: Catalogue, milvus_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.index.search.recall_monitor.BLOCK", 7)
    with catalogue.write() as writer:
        for number in range(40):
            writer.put(made.new_clip(str(number), seed=number, duration=number / 10))
    store = MilvusStore("mine", DIM, milvus_file)
    catch_up(store, catalogue)
    query = vector(77)
    found = exact_neighbours(store, catalogue, query, NEIGHBOURS)
    clips = {clip.row: vector(int(clip.title)) @ query for clip in catalogue.clips()}
    assert found.tolist() == sorted(clips, key=lambda row: -clips[row])[:NEIGHBOURS]
    assert recall(store, catalogue, query) == 1.0
    assert recall(store, catalogue, query, Filter(max_duration=1.0)) == 1.0
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        exact_neighbours(store, catalogue, query, NEIGHBOURS, cancelled=cancelled)
    store.close()


def current(store: FaissStore) -> Callable[[], FaissStore]:
    """Gives the same store each time."""
    return lambda: store


def offer_searches(monitor: RecallMonitor, offers: int) -> None:
    for seed in range(offers):
        monitor.offer(vector(seed))
        if monitor._thread is not None:
            monitor._thread.join()


def test_one_search_in_so_many_is_measured(catalogue: Catalogue) -> None:
    recalls: list[float] = []
    monitor = RecallMonitor(current(lists(10_000)), catalogue, recalls.append, one_in=3, pause=0)
    offer_searches(monitor, 10)
    assert recalls == [1.0] * 3
    monitor.close()
    offer_searches(monitor, 10)
    assert len(recalls) == 3


def test_none_is_measured_when_off_or_too_soon(catalogue: Catalogue) -> None:
    recalls: list[float] = []
    off = RecallMonitor(current(lists(1)), catalogue, recalls.append, one_in=0, pause=0)
    offer_searches(off, 10)
    assert recalls == []
    seldom = RecallMonitor(current(lists(1)), catalogue, recalls.append, one_in=1, pause=3600)
    offer_searches(seldom, 10)
    assert len(recalls) == 1


def test_an_offer_does_not_wait_for_the_measurement(catalogue: Catalogue) -> None:
    goes_on, recalls = threading.Event(), []

    def slowly(share: float) -> None:
        assert goes_on.wait(60)
        recalls.append(share)

    monitor = RecallMonitor(current(lists(10_000)), catalogue, slowly, one_in=1, pause=0)
    for seed in range(1_000):
        monitor.offer(vector(seed % 7))
    goes_on.set()  # an offer that waited would never have come to this
    monitor.close()
    assert recalls == [1.0]  # one at a time
