"""The server process: how it stops.

The first SIGTERM or SIGINT: readiness is refused at once, listening stops (after `drain` seconds,
for proxies that need to notice), what was accepted is answered, and the process ends with status 0.
A second one ends it there and then; the library loses nothing by that, see
`index.catalogue.catalogue`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

log = logging.getLogger(__name__)

LINGER = 3.0  # seconds that threads get for work that nobody waits for any more


class Server(uvicorn.Server):
    """uvicorn's server with that way of stopping. `stopping`: called at the first signal."""

    def __init__(
        self, config: uvicorn.Config, stopping: Callable[[], None], drain: float = 0.0
    ) -> None:
        super().__init__(config)
        self._stopping, self._drain = stopping, drain
        self._stop_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come; uvicorn would raise it once more after a stop in good order."""
        del frame
        if self.should_exit:
            log.warning("a second signal: ending without finishing")
            os._exit(128 + sig)
        self._stopping()
        self._stop_at = time.monotonic() + self._drain
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening."""
        return await super().on_tick(counter) and time.monotonic() >= self._stop_at


def serve(config: uvicorn.Config, stopping: Callable[[], None], drain: float = 0.0) -> None:
    """Run until stopped. All of the application is closed then."""
    Server(config, stopping, drain).run()
    linger = threading.Timer(LINGER, os._exit, (0,))
    linger.daemon = True
    linger.start()
