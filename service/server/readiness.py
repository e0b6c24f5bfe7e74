"""Readiness: a real search succeeds within a short time, and the service is not stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from earmark.service.http.problems import ProblemError

QUERY = "sound of rain"


class Readiness:
    """Checks readiness. `search`: runs a search, set at the start; `seconds`: its time limit."""

    def __init__(self, seconds: float) -> None:
        self.search: Callable[[], Awaitable[object]] | None = None
        self._seconds = seconds
        self._stopping = False
        self._checking: asyncio.Future[object] | None = None

    def stop(self) -> None:
        """Be not ready from now on: the service finishes the requests that it has accepted."""
        self._stopping = True

    async def check(self) -> None:
        """Return if ready. Raises ProblemError (503), StorageError.

        Concurrent checks share one search, even one that hangs.
        """
        if self._stopping:
            raise ProblemError("unavailable", "the service is shutting down")
        if self.search is None:
            raise ProblemError("unavailable", "the service is starting")
        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self.search())
            self._checking.add_done_callback(_retrieve)
        try:
            await asyncio.wait_for(asyncio.shield(self._checking), self._seconds)
        except TimeoutError as error:
            raise ProblemError(
                "unavailable", f"a search takes longer than {self._seconds:g} s"
            ) from error
        except ProblemError as error:  # the queue is full, or the search timed out
            raise ProblemError("unavailable", str(error.detail)) from error


def _retrieve(search: asyncio.Future[object]) -> None:
    """Retrieve the exception: asyncio would log it if nobody waits for the search any more."""
    if not search.cancelled():
        search.exception()
