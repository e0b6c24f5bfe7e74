"""How the server process stops.

At the first SIGTERM or SIGINT the service is not ready any more, stops listening (after `drain`
seconds, in which proxies notice), answers the requests that it has accepted, and exits with status
0. A second signal ends the process at once; the library loses nothing by that, see
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

LINGER_SECONDS = 3.0  # for threads whose work nobody waits for any more


class Server(uvicorn.Server):
    """uvicorn's server with this way of stopping. `on_stop`: called at the first signal."""

    def __init__(
        self, config: uvicorn.Config, on_stop: Callable[[], None], drain: float = 0.0
    ) -> None:
        super().__init__(config)
        self._on_stop, self._drain = on_stop, drain
        self._stop_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal; uvicorn's own method would raise it again after an orderly stop."""
        del frame
        if self.should_exit:
            log.warning("a second signal: ending without finishing")
            os._exit(128 + sig)
        self._on_stop()
        self._stop_at = time.monotonic() + self._drain
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether to stop listening."""
        return await super().on_tick(counter) and time.monotonic() >= self._stop_at


def serve(config: uvicorn.Config, on_stop: Callable[[], None], drain: float = 0.0) -> None:
    """Run until stopped. The application is closed when this returns."""
    Server(config, on_stop, drain).run()
    linger = threading.Timer(LINGER_SECONDS, os._exit, (0,))
    linger.daemon = True
    linger.start()
