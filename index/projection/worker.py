"""The process that computes map layouts, beside the service, at the lowest priority on one core.

It receives vectors and start positions, sends back positions, and ends. It also ends at once when
the other end of its connection closes, however busy it is.
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
    """The process ended without a layout."""


def serve(descriptor: int) -> None:
    """Compute one layout: the process's main function. `descriptor`: of its connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)  # `nice` would add to what it has
    connection = Connection(descriptor)
    with suppress(EOFError, ConnectionError):
        vectors, start = connection.recv()
        threading.Thread(target=_exit_on_close, args=(connection,), daemon=True).start()
        try:
            connection.send(lay_out(vectors, start))
        except Exception as error:  # noqa: BLE001 (the parent raises it)
            connection.send(LayoutError(f"{type(error).__name__}: {error}"))


def _exit_on_close(connection: Connection) -> None:
    """End this process when the parent closes the connection, or dies."""
    with suppress(EOFError, OSError):
        connection.recv()
    os._exit(0)


class LayoutProcess:
    """A process that computes one layout. Raises OSError if it cannot be started."""

    def __init__(self) -> None:
        parent, child = socket.socketpair()
        with child, ExitStack() as on_error:
            on_error.callback(parent.close)
            command = f"from {__name__} import serve; serve({child.fileno()})"
            self._process = subprocess.Popen(  # noqa: S603 (a constant command)
                [sys.executable, "-P", "-c", command],
                stdin=subprocess.DEVNULL,
                pass_fds=[child.fileno()],
                env={**os.environ, **dict.fromkeys(ONE_CORE, "1")},
            )
            on_error.pop_all()
        self._pipe = Connection(parent.detach())

    def lay_out(self, vectors: Array, start: Array | None) -> Array:
        """As `index.projection.tsne.lay_out`. Raises LayoutError."""
        try:
            self._pipe.send((vectors, start))
            result: Array | LayoutError = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise LayoutError("the process that lays out the map ended") from error
        if isinstance(result, LayoutError):
            raise result
        return result

    def end(self) -> None:
        """Kill the process; a caller that waits in `lay_out` gets a LayoutError."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and release its connection."""
        self.end()
        self._process.wait()
        self._pipe.close()
