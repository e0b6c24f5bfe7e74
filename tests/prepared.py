"""Processes that begin with all modules imported: importing takes seconds.

One process imports the service once, and forks a child for each `start`, from its only thread. A
child has its own arguments, environment and output, as if Python had just been started: importing
our modules does nothing. The session's server, and tests of the start itself, start Python anew.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from earmark.model.text.sentence_vectors import SentenceVectors

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "earmark.service.cli.main"
MODULES = (  # what the command imports when it starts, and when it serves
    "earmark.index.cli.library",
    "earmark.index.cli.maintenance",
    "earmark.index.ingest.bulk",
    "earmark.service.app",
    "earmark.service.cli.serve",
    "earmark.service.server.connection_limits",
    "earmark.service.server.shutdown",
    "earmark.training.cli.commands",
    "earmark.training.loop.trainer",
    "tests.index.made",
    "tests.training.tiny",
)


class Process:
    """A started process; its methods are those of `subprocess.Popen`."""

    def __init__(self, arguments: tuple[object, ...], connection: socket.socket) -> None:
        self.pid = int(connection.recv(64))
        self.returncode: int | None = None
        self._arguments = arguments
        self._connection = connection  # tells the status in the end

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._read_status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit status. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired([*map(str, self._arguments)], timeout or 0)
            self._read_status()
        assert self.returncode is not None
        return self.returncode

    def _read_status(self) -> None:
        told = self._connection.recv(64)
        assert told, "the process that forks has ended"
        self.returncode = int(told)
        self._connection.close()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(
    arguments: tuple[object, ...],
    out: IO[Any],
    err: IO[Any],
    environment: dict[str, str],
    module: str = COMMAND,
    program: str = "",
) -> Process:
    """Run a program's text or else a module, by default the `earmark` command, with these arguments
    in the folder ROOT."""
    job = {
        "module": module,
        "program": program,
        "arguments": [*map(str, arguments)],
        "environment": environment,
    }
    ours, theirs = socket.socketpair()
    with theirs, tempfile.TemporaryFile() as file:
        file.write(json.dumps(job).encode())
        file.flush()
        descriptors = [file.fileno(), theirs.fileno(), out.fileno(), err.fileno()]
        with _starting:
            socket.send_fds(_forking(), [b"+"], descriptors)
    return Process(arguments, ours)


_starting = threading.Lock()


@functools.cache
def _forking() -> socket.socket:
    """A connection to the process that forks; it and its children end with this process."""
    ours, theirs = socket.socketpair()
    with theirs:
        subprocess.run(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            check=True,
        )
    atexit.register(ours.close)
    return ours


def _next_job(control: socket.socket) -> dict[str, Any] | None:
    """Fork until the connection closes. Returns None then, and its job in each child."""
    waiting = selectors.DefaultSelector()
    waiting.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is control:
                job = _fork(control, waiting)
                if job is not False:
                    return job
            else:
                pid, connection = key.data
                waiting.unregister(key.fileobj)
                os.close(key.fd)
                _, status = os.waitpid(pid, 0)
                with connection, contextlib.suppress(BrokenPipeError):  # nobody asks any more
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _fork(control: socket.socket, waiting: selectors.BaseSelector) -> dict[str, Any] | bool | None:
    """The job in the child, False in this process, None at the end of the connection."""
    _, descriptors, _, _ = socket.recv_fds(control, 1, 4)
    if not descriptors:
        for key in waiting.get_map().values():
            if key.data:
                os.kill(key.data[0], signal.SIGKILL)
        return None
    file, told, out, err = descriptors
    pid = os.fork()
    if pid:
        for each in (file, out, err):
            os.close(each)
        connection = socket.socket(fileno=told)
        waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
        connection.send(str(pid).encode())
        return False
    for key in list(waiting.get_map().values()):
        if key.data:
            os.close(key.fd)
            key.data[1].close()
    waiting.close()
    control.close()
    os.dup2(out, 1)
    os.dup2(err, 2)
    with os.fdopen(file, "rb") as text:
        text.seek(0)
        job: dict[str, Any] = json.load(text)
    for each in (told, out, err):
        os.close(each)
    return job


def main() -> None:
    if os.fork():
        os._exit(0)  # so that it is none of the children that tests count
    for module in MODULES:
        importlib.import_module(module)
    SentenceVectors(["rain"]).vectors_of(["rain"])  # reads the weights of the encoder of words
    gc.collect()
    gc.freeze()  # or the collector of each child would copy all memory
    job = _next_job(socket.socket(fileno=int(sys.argv[1])))
    if job is None:
        return
    os.environ.clear()
    os.environ.update(job["environment"])
    tempfile.tempdir = None
    time.tzset()
    sys.argv[1:] = job["arguments"]
    if job["program"]:
        exec(compile(job["program"], "<program>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
