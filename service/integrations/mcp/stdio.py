"""The protocol on standard input and output, until the input ends or the process is told to stop.

Nothing else is written to standard output: while this runs, whatever prints writes to standard
error instead.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import anyio
import anyio.from_thread
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from earmark.service.integrations.mcp.server import make_server
from earmark.service.integrations.mcp.tools import Access

STANDARD_INPUT = 0
PIECE = 65_536  # bytes read at a time


class _Lines:
    """The lines of standard input, read by a thread that nobody waits for: a read that waits for
    input cannot be broken off, and Ctrl-C must not wait for one."""

    def __init__(self) -> None:
        self._send, self._lines = anyio.create_memory_object_stream[str](16)
        self._token = anyio.lowlevel.current_token()
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        try:
            while piece := _piece():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    self._do(self._send.send, line.decode("utf-8", "replace"))
            self._do(self._send.aclose)
        except (anyio.BrokenResourceError, RuntimeError):
            pass  # nobody reads any more

    def _do(self, what: object, *arguments: object) -> None:
        anyio.from_thread.run(what, *arguments, token=self._token)  # type: ignore[arg-type]

    def __aiter__(self) -> AsyncIterator[str]:
        return self._lines.__aiter__()


def _piece() -> bytes:
    """What has come on standard input; nothing at its end, or where there is none."""
    try:
        return os.read(STANDARD_INPUT, PIECE)
    except OSError:
        return b""


async def serve(access: Access) -> bool:
    """Serve one client, with this access. Returns whether it was interrupted (Ctrl-C)."""

    @asynccontextmanager
    async def access_of(_: object) -> AsyncIterator[Access]:
        yield access

    interrupted = False
    async with anyio.create_task_group() as tasks:

        async def stop_on_signals() -> None:
            nonlocal interrupted
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for number in signals:
                    interrupted = number == signal.SIGINT
                    tasks.cancel_scope.cancel()

        tasks.start_soon(stop_on_signals)
        await _run(make_server(access_of))
        tasks.cancel_scope.cancel()
    return interrupted


async def _run(server: Server[object]) -> None:
    lines = cast("anyio.AsyncFile[str]", _Lines())
    async with stdio_server(stdin=lines) as (read, write):
        await server.run(read, write, server.create_initialization_options())
