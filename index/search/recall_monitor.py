"""How many of the nearest clips the index finds, measured on searches as they come.

Recall@10 of a search is the share of the 10 nearest clips, found by comparing with every vector,
that are among the 10 that the index found. An index of up to 50,000 clips compares with every
vector anyway: there it is 1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.stores.base import VectorStore
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows
from earmark.model.core.errors import EarmarkError

log = logging.getLogger(__name__)

NEIGHBOURS = 10
BLOCK = 8_192  # vectors in memory at a time
PAUSE = 60.0  # seconds between two measurements, at least


class GivenUp(Exception):
    """The measurement is not wanted any more."""


def exact(
    store: VectorStore,
    catalogue: Catalogue,
    vector: Array,
    k: int,
    where: Filter | None = None,
    given_up: threading.Event | None = None,
) -> Rows:
    """The k clips nearest to a vector [D] of those that pass a filter, best first.

    FAISS compares with all that it holds; for any other store it is done here, over the
    catalogue's vectors, block by block. Raises GivenUp.
    """
    if isinstance(store, FaissStore):
        return store.exact(vector, k, where)[0]
    passing = np.sort(store.passing(where or Filter()))
    rows, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    for start in range(0, len(passing), BLOCK):
        if given_up is not None and given_up.is_set():
            raise GivenUp
        found = catalogue.vectors(passing[start : start + BLOCK].tolist())
        if found:
            rows = np.concatenate([rows, np.array(list(found), dtype=np.int64)])
            scores = np.concatenate([scores, np.stack(list(found.values())) @ vector])
            best = np.lexsort((rows, -scores))[:k]
            rows, scores = rows[best], scores[best]
    return rows


def recall(
    store: VectorStore,
    catalogue: Catalogue,
    vector: Array,
    where: Filter | None = None,
    given_up: threading.Event | None = None,
) -> float | None:
    """Recall@10 of a search; None where nothing passes the filter or a write came between.

    Raises GivenUp.
    """
    generation = store.generation
    found, _ = store.search(vector, NEIGHBOURS, where)
    wanted = exact(store, catalogue, vector, NEIGHBOURS, where, given_up)
    if not len(wanted) or store.generation != generation:
        return None
    return float(np.isin(wanted, found).mean())


class RecallProbe:
    """Measures one search in `one_in` (0: none) in a thread, at most one each `pause` seconds.

    `told`: of each recall.
    """

    def __init__(
        self,
        store: VectorStore,
        catalogue: Catalogue,
        told: Callable[[float], None],
        *,
        one_in: int,
        pause: float = PAUSE,
    ) -> None:
        self._store, self._catalogue, self._told = store, catalogue, told
        self._one_in, self._pause = one_in, pause
        self._seen, self._not_before = 0, 0.0
        self._lock, self._given_up = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def offer(self, vector: Array, where: Filter | None = None) -> None:
        """A search was made for a vector [D]: returns at once."""
        # Without the lock: a search more or less between two samples is none that matters.
        self._seen += 1
        if not self._one_in or self._seen % self._one_in or time.monotonic() < self._not_before:
            return
        with self._lock:
            now = time.monotonic()
            if now < self._not_before or self._given_up.is_set() or self._is_at_it():
                return
            self._not_before = now + self._pause
            self._thread = threading.Thread(
                target=self._measure, args=(vector.copy(), where), name="recall", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Take no more, and give up a measurement that is under way."""
        with self._lock:
            self._given_up.set()
        if self._thread is not None:
            self._thread.join()

    def _is_at_it(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _measure(self, vector: Array, where: Filter | None) -> None:
        try:
            share = recall(self._store, self._catalogue, vector, where, self._given_up)
        except GivenUp:
            return
        except EarmarkError as error:
            log.warning("recall could not be measured: %s", error)
            return
        if share is not None:
            self._told(share)
