"""Bounds how many writes are under way: each holds a thread, and SQLite makes one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

MAX_WRITES = 8
RETRY = {"Retry-After": "1"}


class WriteTurns:
    """Turns of writes; of one event loop. `most`: at a time."""

    def __init__(self, metrics: Metrics, most: int = MAX_WRITES) -> None:
        self._metrics, self._most = metrics, most
        self._taken = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within, a write is under way. Raises ProblemError (429) where too many are."""
        if self._taken >= self._most:
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._most} writes are under way", RETRY)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
