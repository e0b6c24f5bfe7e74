"""Stretches of clips as files: cut out in processes of their own, and sent as they are made.

A cut has a process for as long as its client receives. So that few clients cannot keep others
waiting, each has some of the processes at most; so that long work cannot, what decodes much has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from earmark.model.audio.cut import Kind
from earmark.model.audio.stretch import Stretch
from earmark.model.front_end import FrontEnd
from earmark.model.inference.decode_pool import DecodePool, Piece
from earmark.service.http.cut_response import SLOWEST
from earmark.service.http.problems import ProblemError

MAX_CUTS = 4  # at once
MAX_LONG = 2  # of them, such as decode more than:
LONG_SECONDS = 600.0
MAX_OF_CLIENT = 2  # at once
MAX_PRESENT_OF_CLIENT = 10  # at once or waiting; further ones are refused
MAX_WAITING = 64  # requests; further ones are refused
WAIT_SECONDS = 30.0  # for a process
FIRST_SECONDS = 300.0  # in which the first samples must be there: what lies before is decoded
RETRY = {"Retry-After": "5"}
NAME = "sound"  # stands in messages for the file's name

Pieces = Generator[Piece]


@dataclass(frozen=True)
class WantedCut:
    """A stretch as a file of a kind, which has about `nbytes`."""

    stretch: Stretch
    kind: Kind
    nbytes: int


class OpenCut:
    """A file that is being cut out, and whose first bytes are there.

    `size`: in bytes, None where that is not known yet.
    """

    def __init__(self, pieces: Pieces, threads: anyio.CapacityLimiter) -> None:
        self.size: int | None = None
        self._pieces, self._threads = pieces, threads
        self._in_turn = threading.Lock()  # a thread outlives the task that waits for it
        self._first = b""

    async def begin(self, seconds: float) -> None:
        """Wait for the first bytes. Raises AudioError, InputError, TimeoutError."""
        until = time.monotonic() + seconds
        while not self._first:
            piece = await self._next()
            assert piece is not None, "a file has bytes"
            self._first, self.size = piece.data, piece.size
            if time.monotonic() > until:
                raise TimeoutError

    async def content(self) -> AsyncIterator[bytes]:
        """The file's bytes. Raises AudioError, InputError, TimeoutError."""
        yield self._first
        while (piece := await self._next()) is not None:
            yield piece.data

    async def close(self) -> None:
        """End the process where the file is not whole."""
        await anyio.to_thread.run_sync(self._end, limiter=self._threads)

    async def _next(self) -> Piece | None:
        return await anyio.to_thread.run_sync(self._take, limiter=self._threads)

    # In threads

    def _take(self) -> Piece | None:
        with self._in_turn:
            return next(self._pieces, None)

    def _end(self) -> None:
        with self._in_turn:
            self._pieces.close()


@dataclass
class _Client:
    """Whose cuts are at work or waiting: how many, and turns for those at work."""

    present: int = 0
    turn: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(MAX_OF_CLIENT))


class Cuts:
    """Cuts out stretches of clips. One for an application; `open` is for its event loop."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._readers = DecodePool(front_end, MAX_CUTS)
        self._free, self._long = anyio.Semaphore(MAX_CUTS), anyio.Semaphore(MAX_LONG)
        self._clients: dict[str, _Client] = {}
        self._threads = anyio.CapacityLimiter(MAX_CUTS)
        self._waiting = 0

    def close(self) -> None:
        """End the processes."""
        self._readers.close()

    @asynccontextmanager
    async def open(self, wanted: WantedCut, client: str) -> AsyncIterator[OpenCut]:
        """The file, once its first samples are there, for as long as the context lasts.

        `client`: who has so many at once. Raises AudioError, InputError, ProblemError (429, 504).
        """
        async with self._present(client) as own_turn:
            turns = [own_turn, self._free]
            if wanted.stretch.decoded_seconds > LONG_SECONDS:
                turns.insert(1, self._long)
            await self._wait_for(turns)
            until = time.monotonic() + FIRST_SECONDS + wanted.nbytes / SLOWEST
            pieces = self._readers.cut(wanted.stretch, NAME, wanted.kind, until)
            cut = OpenCut(pieces, self._threads)
            try:
                await _begin(cut)
                yield cut
            finally:
                try:
                    await cut.close()
                finally:  # where this task is cancelled, the thread ends by itself
                    for turn in turns:
                        turn.release()

    @asynccontextmanager
    async def _present(self, name: str) -> AsyncIterator[anyio.Semaphore]:
        """The turns of a client, counted as present. Raises ProblemError (429)."""
        client = self._clients.setdefault(name, _Client())
        if client.present >= MAX_PRESENT_OF_CLIENT:
            detail = f"{client.present} cuts for this client are in work or waiting"
            raise ProblemError("busy", detail, RETRY)
        client.present += 1
        try:
            yield client.turn
        finally:
            client.present -= 1
            if not client.present:
                del self._clients[name]

    async def _wait_for(self, turns: Sequence[anyio.Semaphore]) -> None:
        """Have all these turns. Raises ProblemError (429) where one does not come in time."""
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} cuts are waiting", RETRY)
        self._waiting += 1
        try:
            async with AsyncExitStack() as stack:
                with anyio.fail_after(WAIT_SECONDS):
                    for turn in turns:
                        await stack.enter_async_context(turn)
                stack.pop_all()
        except TimeoutError as error:
            raise ProblemError("busy", "other sounds are being cut", RETRY) from error
        finally:
            self._waiting -= 1


async def _begin(cut: OpenCut) -> None:
    """Wait for the first samples. Raises as `open` does."""
    try:
        await cut.begin(FIRST_SECONDS)
    except TimeoutError as error:
        raise ProblemError(
            "deadline", f"the stretch was not reached within {FIRST_SECONDS:g} s"
        ) from error
