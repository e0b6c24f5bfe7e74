"""Counts facets in the threads of requests: one query at a time, so that searches have a core."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from earmark.index.facets import Facets, count_facets
from earmark.index.library import Library
from earmark.index.types import SearchRequest
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

MAX_WAITING = 16  # queries; each holds a thread
CACHED = 128  # queries
RETRY = {"Retry-After": "1"}


class FacetCounter:
    """Facets of a library's clips, kept until the library changes. Safe to share between threads.

    `max_waiting`: queries that wait or are counted at a time.
    """

    def __init__(self, library: Library, metrics: Metrics, max_waiting: int = MAX_WAITING) -> None:
        self._library, self._metrics, self._max_waiting = library, metrics, max_waiting
        self._places = threading.BoundedSemaphore(max_waiting)
        self._counting = threading.Lock()
        self._cache: LRUCache[Hashable, tuple[int, Facets]] = LRUCache(CACHED)

    def get(self, request: SearchRequest, names: int) -> Facets:
        """The facets of a request, see `count_facets`.

        Raises ProblemError (429) where too many wait, LibraryError, StorageError.
        """
        with self.turn():
            return self._get(request, names)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within, no facets are counted: for other work that goes through the whole library.

        Raises ProblemError (429) where too many wait.
        """
        if not self._places.acquire(blocking=False):
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._max_waiting} requests are waiting", RETRY)
        try:
            with self._counting:
                yield
        finally:
            self._places.release()

    def _get(self, request: SearchRequest, names: int) -> Facets:
        key, generation = (request.search_key(), names), self._library.generation
        kept = self._cache.get(key)
        if kept is not None and kept[0] == generation:
            return kept[1]
        facets = count_facets(self._library, request, names)
        if facets.generation >= generation:  # the store has caught up
            self._cache[key] = generation, facets
        return facets
