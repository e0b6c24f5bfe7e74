"""The process that lays out maps, apart from the service: with the lowest priority, and one core.

It takes vectors and places to start from, gives places, and ends; at once when the other end of
its connection closes, however busy it is.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection

from earmark.index.projection.tsne import lay_out
from earmark.model.core.arrays import Array

LOWEST_PRIORITY = 19
ONE_CORE = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class LayoutError(Exception):
    """The process ended without places."""


def serve(descriptor: int) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    with suppress(OSError):
        os.nice(LOWEST_PRIORITY)
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        vectors, start = connection.recv()
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        try:
            connection.send(lay_out(vectors, start))
        except Exception as error:  # noqa: BLE001 (whoever waits is told)
            connection.send(LayoutError(f"{type(error).__name__}: {error}"))


def _end_with(connection: Connection) -> None:
    """End this process when nobody waits for it any more."""
    with suppress(EOFError, OSError):
        connection.recv()
    os._exit(0)


class LayoutProcess:
    """One process that lays out one map. Raises OSError where it cannot be started."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as failing:
            failing.callback(ours.close)
            command = f"from {__name__} import serve; serve({theirs.fileno()})"
            self._process = subprocess.Popen(  # noqa: S603 (our own words)
                [sys.executable, "-P", "-c", command],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **dict.fromkeys(ONE_CORE, "1")},
            )
            failing.pop_all()
        self._pipe = Connection(ours.detach())

    def lay_out(self, vectors: Array, start: Array | None) -> Array:
        """See `index.projection.tsne`. Raises LayoutError."""
        try:
            self._pipe.send((vectors, start))
            places: Array | LayoutError = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LayoutError("the process that lays out the map ended") from error
        if isinstance(places, LayoutError):
            raise places
        return places

    def end(self) -> None:
        """End it, whatever it does; whoever waits for its places gets an error."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of it."""
        self.end()
        self._process.wait()
        self._pipe.close()
