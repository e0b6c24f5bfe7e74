"""Bounds how many requests are at work in threads, of which there are few: the others are refused
at once, and do not wait for a thread only to be answered late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

MAX_WRITES = 8  # SQLite makes one after another
MAX_READS = 16  # through much of the library
RETRY = {"Retry-After": "1"}


class Turns:
    """Turns of requests that read or write; of one event loop. `most`: of each at a time."""

    def __init__(
        self, metrics: Metrics, most_reads: int = MAX_READS, most_writes: int = MAX_WRITES
    ) -> None:
        self._metrics = metrics
        self._most = {"reads": most_reads, "writes": most_writes}
        self._taken = {"reads": 0, "writes": 0}

    @contextmanager
    def turn(self, kind: Literal["reads", "writes"]) -> Iterator[None]:
        """Within, a request is at work. Raises ProblemError (429) where too many are."""
        if self._taken[kind] >= self._most[kind]:
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._most[kind]} {kind} are under way", RETRY)
        self._taken[kind] += 1
        try:
            yield
        finally:
            self._taken[kind] -= 1
