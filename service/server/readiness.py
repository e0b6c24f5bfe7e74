"""Whether the service can do its work now: a real search within a short time, and not stopping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from earmark.service.http.problems import ProblemError

QUERY = "sound of rain"


class Readiness:
    """Checks by searching. `search`: as requests do it; `seconds`: that it may take."""

    def __init__(self, seconds: float) -> None:
        self.search: Callable[[], Awaitable[object]] | None = None  # once there is what searches
        self._seconds = seconds
        self._stopping = False
        self._checking: asyncio.Future[object] | None = None

    def stop(self) -> None:
        """From now on the service is not ready: it finishes what it has accepted."""
        self._stopping = True

    async def check(self) -> None:
        """Return when ready. Raises ProblemError (503), StorageError.

        However many ask, and however long a search hangs, one is under way at a time.
        """
        if self._stopping:
            raise ProblemError("unavailable", "the service is shutting down")
        if self.search is None:
            raise ProblemError("unavailable", "the service is starting")
        if self._checking is None or self._checking.done():
            self._checking = asyncio.ensure_future(self.search())
            self._checking.add_done_callback(_heard)
        try:
            await asyncio.wait_for(asyncio.shield(self._checking), self._seconds)
        except TimeoutError as error:
            raise ProblemError(
                "unavailable", f"a search takes longer than {self._seconds:g} s"
            ) from error
        except ProblemError as error:  # the queue is full, or the search late
            raise ProblemError("unavailable", str(error.detail)) from error


def _heard(done: asyncio.Future[object]) -> None:
    """Take note of how a search ended that nobody may be waiting for any more."""
    if not done.cancelled():
        done.exception()
