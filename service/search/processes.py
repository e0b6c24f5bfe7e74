"""Processes that search, beside the one that speaks HTTP: each has an interpreter to itself.

They share one model and one index in memory, whatever their number: the nursery, a process forked
when model and library are open and nothing else runs yet, forks each when it is wanted, and what
none of them writes is there once. Each opens the catalogue anew, and follows it. They end with the
connection to whoever asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pickle
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import faiss
import torch

from earmark.index.library import Library
from earmark.index.search.recall_monitor import RecallProbe
from earmark.model.core.errors import EarmarkError
from earmark.service.search.batch import Answer, Answers, Ask, answer

log = logging.getLogger(__name__)

_SIZE = struct.Struct("<I")  # bytes of the message that follows


class EndedError(EarmarkError):
    """A process ended in the middle of its work."""


class FaultError(Exception):
    """A fault of ours in a process that searches; its log tells more."""


class Nursery:
    """Forks searching processes. To be made before any thread of ours, or event loop, is there.

    `recall_sample`: one search in so many measures the index's recall, in each.
    """

    def __init__(self, library: Library, recall_sample: int = 0) -> None:
        ours, theirs = socket.socketpair()
        library.rest()
        gc.collect()
        gc.freeze()  # the collector would write to, and so copy, all that is shared
        self._id = os.fork()
        if self._id == 0:
            ours.close()
            _end_after(lambda: _nurse(theirs, library, recall_sample))
        theirs.close()
        self._control = ours

    def searcher(self) -> socket.socket:
        """The connection to a new process. Raises OSError where the nursery has gone."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"+"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def close(self) -> None:
        """End it; its processes end with their connections."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._id, 0)


def _end_after(work: Callable[[], None]) -> None:
    """Do the work of a forked process, and nothing of what was forked along."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # that is for whoever asks
    torch.set_num_threads(1)  # teams of threads are not forked along
    faiss.omp_set_num_threads(1)
    status = 1
    try:
        work()
        status = 0
    except (EOFError, ConnectionError):
        status = 0
    except BaseException:
        log.exception("a process that searches failed")
    finally:
        os._exit(status)


def _nurse(control: socket.socket, library: Library, recall_sample: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not told:
            return
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()
                _end_after(lambda: _serve(connection, library, recall_sample))


def _serve(connection: socket.socket, library: Library, recall_sample: int) -> None:
    """Answer batches until the other end closes."""
    own = library.reopened()  # never closed: the snapshot is the first process's to write
    recalls: list[float] = []
    own.probe = RecallProbe(own.store, own.catalogue, recalls.append, one_in=recall_sample)
    with connection.makefile("rwb") as stream:
        while True:
            (size,) = _SIZE.unpack(_exactly(stream.read(_SIZE.size), _SIZE.size))
            asks: list[Ask] = pickle.loads(_exactly(stream.read(size), size))  # noqa: S301 (ours)
            message = pickle.dumps(_done(own, asks, recalls), pickle.HIGHEST_PROTOCOL)
            stream.write(_SIZE.pack(len(message)) + message)
            stream.flush()


def _done(library: Library, asks: Sequence[Ask], recalls: list[float]) -> Answers | EarmarkError:
    try:
        answers = answer(library, asks)
    except EarmarkError as error:
        return error
    while recalls:
        answers.recalls.append(recalls.pop())
    return replace(answers, each=[_portable(each) for each in answers.each])


def _portable(own: Answer | Exception) -> Answer | Exception:
    """An answer for another process, to which not every exception can go."""
    if isinstance(own, Answer | EarmarkError):
        return own
    log.error("a search failed", exc_info=own)
    return FaultError(f"{type(own).__name__} in a process that searches")


def _exactly(read: bytes, size: int) -> bytes:
    if len(read) < size:
        raise EOFError
    return read


class Hand(Protocol):
    """Who searches for an event loop. `depth`: how many batches it takes at a time."""

    depth: int

    async def __call__(self, asks: Sequence[Ask]) -> Answers:
        """Answers to a batch. Raises EndedError, and what the library raises."""

    def close(self) -> None:
        """End it."""


class InThread:
    """A thread of this process."""

    depth = 1

    def __init__(self, library: Library) -> None:
        self._library = library
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")

    async def __call__(self, asks: Sequence[Ask]) -> Answers:
        """Raises what the library raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, answer, self._library, asks)

    def close(self) -> None:
        """End it when it has no work any more."""
        self._thread.shutdown()


class InProcess:
    """A searching process, a new one where it has ended; a thread once the nursery has gone.

    It takes two batches at a time: one lies ready when the other is done.
    """

    depth = 2

    def __init__(self, nursery: Nursery, library: Library) -> None:
        self._nursery, self._library = nursery, library
        self._process: _Process | None = None
        self._thread: InThread | None = None
        self._starting = asyncio.Lock()

    async def __call__(self, asks: Sequence[Ask]) -> Answers:
        """Raises EndedError where the process ends over it, and what the library raises."""
        if self._process is None or self._process.gone:
            async with self._starting:
                await self._start()
        if self._thread is not None:
            return await self._thread(asks)
        assert self._process is not None
        done = await self._process.ask(asks)
        if isinstance(done, EarmarkError):
            raise done
        return done

    async def _start(self) -> None:
        if self._thread is not None or (self._process is not None and not self._process.gone):
            return  # whoever waited for the same has done it
        try:
            connection = self._nursery.searcher()
        except OSError as error:
            log.error("no more processes that search (%s): a thread does", error)
            self._thread = InThread(self._library)
        else:
            self._process = _Process(*await asyncio.open_connection(sock=connection))

    def close(self) -> None:
        """End it."""
        for each in (self._process, self._thread):
            if each is not None:
                each.close()


class _Process:
    """A connection to one process, which answers in the order in which it is asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()  # the first who asked reads first

    @property
    def gone(self) -> bool:
        return self._writer.is_closing() or self._reader.at_eof()

    async def ask(self, asks: Sequence[Ask]) -> Answers | EarmarkError:
        message = pickle.dumps(asks, pickle.HIGHEST_PROTOCOL)
        self._writer.write(_SIZE.pack(len(message)) + message)
        async with self._turn:
            try:
                (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
                message = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, OSError) as error:
                self.close()
                raise EndedError("the process that searches ended") from error
        done: Answers | EarmarkError = pickle.loads(message)  # noqa: S301 (ours)
        return done

    def close(self) -> None:
        self._writer.close()
