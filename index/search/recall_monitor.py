"""Recall of the index, measured on a sample of searches.

Recall@10 of a search is the share of the 10 nearest clips, found by comparing with every vector,
that are among the 10 that the index finds. An index of up to 50,000 vectors compares with every
vector anyway: there it is 1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.moment_vectors import moment_vectors
from earmark.index.stores.base import VectorStore
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows
from earmark.model.core.errors import EarmarkError

log = logging.getLogger(__name__)

NEIGHBOURS = 10
BLOCK = 64  # clips whose vectors are in memory at a time
PAUSE = 60.0  # seconds between two measurements, at least


class Cancelled(Exception):
    """The monitor was closed during a measurement."""


def exact_neighbours(
    store: VectorStore,
    catalogue: Catalogue,
    vector: Array,
    k: int,
    where: Filter | None = None,
    cancelled: threading.Event | None = None,
) -> Rows:
    """The k clips nearest to a vector [D] of those that pass a filter, best first.

    By the store's exact search; where it has none, over the catalogue's vectors, block by block.
    Raises Cancelled.
    """
    if (exact := store.search_exact(vector, k, where)) is not None:
        return exact[0]
    passing = np.sort(store.passing(where or Filter()))
    rows, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for start in range(0, len(passing), BLOCK):
        if cancelled is not None and cancelled.is_set():
            raise Cancelled
        block = passing[start : start + BLOCK].tolist()
        vectors, windows = catalogue.vectors(block), catalogue.windows(block)
        if vectors:
            cosines = np.stack(list(vectors.values())) @ vector
            for place, row in enumerate(vectors):
                if row in windows:
                    highest = float((moment_vectors(windows[row][1]) @ vector).max())
                    cosines[place] = max(cosines[place], highest)
            rows = np.concatenate([rows, np.array(list(vectors), dtype=np.int64)])
            scores = np.concatenate([scores, cosines])
            best = np.lexsort((rows, -scores))[:k]
            rows, scores = rows[best], scores[best]
    return rows


def recall(
    store: VectorStore,
    catalogue: Catalogue,
    vector: Array,
    where: Filter | None = None,
    cancelled: threading.Event | None = None,
) -> float | None:
    """Recall@10 of a search; None where no clip passes the filter, or a write came between.

    Raises Cancelled.
    """
    generation = store.generation
    found, _ = store.search(vector, NEIGHBOURS, where)
    exact = exact_neighbours(store, catalogue, vector, NEIGHBOURS, where, cancelled)
    if not len(exact) or store.generation != generation:
        return None
    return float(np.isin(exact, found).mean())


class RecallMonitor:
    """Measures recall for one search in `one_in` (0: none), in a thread, one search at a time.

    `store`: gives the current one. `on_recall`: called with each recall. `pause`: seconds between
    two measurements, at least.
    """

    def __init__(
        self,
        store: Callable[[], VectorStore],
        catalogue: Catalogue,
        on_recall: Callable[[float], None],
        *,
        one_in: int,
        pause: float = PAUSE,
    ) -> None:
        self._store, self._catalogue, self._on_recall = store, catalogue, on_recall
        self._one_in, self._pause = one_in, pause
        self._offered, self._not_before = 0, 0.0
        self._lock, self._cancelled = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def offer(self, vector: Array, where: Filter | None = None) -> None:
        """Take note of a search for a vector [D], and perhaps measure it. Returns at once."""
        # Without the lock: miscounting a few searches between two samples does not matter.
        self._offered += 1
        if not self._one_in or self._offered % self._one_in or time.monotonic() < self._not_before:
            return
        with self._lock:
            now = time.monotonic()
            if now < self._not_before or self._cancelled.is_set() or self._is_measuring():
                return
            self._not_before = now + self._pause
            self._thread = threading.Thread(
                target=self._measure, args=(vector.copy(), where), name="recall", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Measure no more, and cancel the current measurement."""
        with self._lock:
            self._cancelled.set()
        if self._thread is not None:
            self._thread.join()

    def _is_measuring(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _measure(self, vector: Array, where: Filter | None) -> None:
        try:
            share = recall(self._store(), self._catalogue, vector, where, self._cancelled)
        except Cancelled:
            return
        except EarmarkError as error:
            log.warning("recall could not be measured: %s", error)
            return
        if share is not None:
            self._on_recall(share)
