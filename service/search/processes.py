"""Worker processes that search, beside the process that speaks HTTP.

They share one model and one index in memory, whatever their number. A fork server, forked when
model and library are open and nothing else runs yet, forks the workers; memory that no process
writes to exists once. Each worker opens the catalogue anew and follows it. The fork server and the
workers end when the connection to the HTTP process closes.
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

from earmark.index.library import Library
from earmark.index.search.recall_monitor import RecallMonitor
from earmark.index.types import SearchRequest
from earmark.model.core.errors import EarmarkError
from earmark.model.core.threads import use_one_thread
from earmark.service.http.addresses import use_root_path
from earmark.service.search.batch import BatchResult, RenderedPage, run_batch

log = logging.getLogger(__name__)

FOLLOW_SECONDS, MAX_LOOKS = 0.05, 1_200  # between looks at how far a process is
_SIZE = struct.Struct("<I")  # bytes of the message that follows
_FORK, _RENEW = b"+", b"="  # messages to the fork server; it answers the second


class WorkerEndedError(EarmarkError):
    """A worker process ended in the middle of a batch."""


class WorkerFaultError(Exception):
    """A bug in a worker process; its log has the traceback."""


class ForkServer:
    """Forks worker processes. Create it before any thread of ours and any event loop.

    `recall_sample`: each worker measures the index's recall for one search in so many;
    `root_path`: before the addresses in its answers.
    """

    def __init__(self, library: Library, recall_sample: int = 0, root_path: str = "") -> None:
        ours, theirs = socket.socketpair()
        library.prepare_fork()
        gc.collect()
        gc.freeze()  # the collector would write to all shared memory, and so copy it
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            use_root_path(root_path)
            _run_and_exit(lambda: _fork_workers(theirs, library, recall_sample))
        theirs.close()
        self._control = ours

    def start_worker(self) -> socket.socket:
        """The connection to a new worker. Raises OSError where the fork server has ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [_FORK], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def renew(self) -> None:
        """Let workers that are forked from now on search the store that was built anew. Waits.

        Raises OSError where the fork server has ended.
        """
        self._control.sendall(_RENEW)
        if not self._control.recv(1):
            raise ConnectionResetError("the fork server has ended")

    def close(self) -> None:
        """End the fork server; the workers end with their connections."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _run_and_exit(work: Callable[[], None]) -> None:
    """Run a forked process, then exit without the cleanup of its parent."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the HTTP process handles them
    use_one_thread()  # a fork has no thread pools
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


def _fork_workers(control: socket.socket, library: Library, recall_sample: int) -> None:
    """Fork a worker for each connection that arrives, until the other end closes."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if message == _RENEW:
            library.reload_store()
            gc.collect()
            gc.freeze()
            control.sendall(_RENEW)
            continue
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                control.close()
                _run_and_exit(lambda: _run_worker(connection, library, recall_sample))


def _run_worker(connection: socket.socket, shared: Library, recall_sample: int) -> None:
    """Run batches until the other end closes."""
    library = shared.after_fork()
    library.refresh(wait=True)
    recalls: list[float] = []
    library.recall_monitor = RecallMonitor(
        lambda: library.store, library.catalogue, recalls.append, one_in=recall_sample
    )
    with connection.makefile("rwb") as stream:
        while True:
            (size,) = _SIZE.unpack(_read_all(stream.read(_SIZE.size), _SIZE.size))
            requests: list[SearchRequest] = pickle.loads(_read_all(stream.read(size), size))  # noqa: S301 (ours)
            message = pickle.dumps(_result(library, requests, recalls), pickle.HIGHEST_PROTOCOL)
            stream.write(_SIZE.pack(len(message)) + message)
            stream.flush()


def _result(
    library: Library, requests: Sequence[SearchRequest], recalls: list[float]
) -> BatchResult | EarmarkError:
    try:
        result = run_batch(library, requests)
    except EarmarkError as error:
        return error
    while recalls:
        result.recalls.append(recalls.pop())
    return replace(result, pages=[_picklable(page) for page in result.pages])


def _picklable(page: RenderedPage | Exception) -> RenderedPage | Exception:
    """The page or an error that another process can read: not every exception can be pickled."""
    if isinstance(page, RenderedPage | EarmarkError):
        return page
    log.error("a search failed", exc_info=page)
    return WorkerFaultError(f"{type(page).__name__} in a process that searches")


def _read_all(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EOFError
    return data


class SearchWorker(Protocol):
    """Runs batches for an event loop. `depth`: how many it takes at a time."""

    depth: int

    def renew(self) -> None:
        """Search the store that was built anew from the next batch on."""

    async def follow(self, generation: int) -> None:
        """Wait until searches see what was written up to a generation. Raises as a batch does."""

    async def __call__(self, requests: Sequence[SearchRequest]) -> BatchResult:
        """The result of a batch. Raises WorkerEndedError, and what the library raises."""

    def close(self) -> None:
        """End the worker."""


class ThreadWorker:
    """A thread of this process."""

    depth = 1

    def __init__(self, library: Library, root_path: str = "") -> None:
        self._library = library
        self._thread = ThreadPoolExecutor(1, "search", use_root_path, (root_path,))

    async def __call__(self, requests: Sequence[SearchRequest]) -> BatchResult:
        """Raises what the library raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, run_batch, self._library, requests)

    def renew(self) -> None:
        """Nothing to do: the library has the new store."""

    async def follow(self, generation: int) -> None:
        """Nothing to do: the library's writers let it follow."""

    def close(self) -> None:
        """End the thread after its last batch."""
        self._thread.shutdown()


class ProcessWorker:
    """A worker process, replaced when it ends; a thread once the fork server has ended.

    It takes two batches at a time: the second is ready when the first is done.
    """

    depth = 2

    def __init__(self, fork_server: ForkServer, library: Library, root_path: str = "") -> None:
        self._fork_server, self._library, self._root_path = fork_server, library, root_path
        self._connection: _Connection | None = None
        self._thread: ThreadWorker | None = None
        self._starting = asyncio.Lock()
        self._renewals = 0

    async def __call__(self, requests: Sequence[SearchRequest]) -> BatchResult:
        """Raises WorkerEndedError where the process ends meanwhile, and what the library raises."""
        if self._connection is None or self._connection.closed:
            async with self._starting:
                await self._start()
        if self._thread is not None:
            return await self._thread(requests)
        assert self._connection is not None
        result = await self._connection.run(requests)
        if isinstance(result, EarmarkError):
            raise result
        return result

    async def _start(self) -> None:
        is_open = self._connection is not None and not self._connection.closed
        if self._thread is not None or is_open:
            return  # another task that waited for the lock has started it
        try:
            self._connection = await self._connect()
        except OSError as error:
            log.error("no more processes that search (%s): a thread does", error)
            self._thread = ThreadWorker(self._library, self._root_path)

    async def _connect(self) -> _Connection:
        """A connection to a new process, that searches the latest store. Raises OSError."""
        while True:
            renewals = self._renewals
            process = self._fork_server.start_worker()
            connection = _Connection(*await asyncio.open_connection(sock=process))
            if renewals == self._renewals:
                return connection
            connection.close()  # it may have the store of before

    async def follow(self, generation: int) -> None:
        """See `SearchWorker`. A process that is started later has followed then."""
        for _ in range(MAX_LOOKS):
            connection = self._connection
            if connection is None or connection.closed:
                return
            result = await connection.run([])
            if isinstance(result, EarmarkError) or result.generation >= generation:
                return
            await asyncio.sleep(FOLLOW_SECONDS)

    def renew(self) -> None:
        """Let the next batch start a process; the one at work ends after its batches."""
        self._renewals += 1
        if self._connection is not None:
            self._connection.retire()
            self._connection = None

    def close(self) -> None:
        """End the process, or the thread."""
        for closable in (self._connection, self._thread):
            if closable is not None:
                closable.close()


class _Connection:
    """A connection to one worker process, which answers in the order of the batches."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._reading = asyncio.Lock()  # fair: the first who wrote reads first
        self._running, self._retired = 0, False

    @property
    def closed(self) -> bool:
        return self._writer.is_closing() or self._reader.at_eof()

    async def run(self, requests: Sequence[SearchRequest]) -> BatchResult | EarmarkError:
        self._running += 1
        try:
            message = pickle.dumps(requests, pickle.HIGHEST_PROTOCOL)
            self._writer.write(_SIZE.pack(len(message)) + message)
            async with self._reading:
                message = await self._read()
        finally:
            self._running -= 1
            if self._retired:
                self.retire()
        result: BatchResult | EarmarkError = pickle.loads(message)  # noqa: S301 (ours)
        return result

    async def _read(self) -> bytes:
        try:
            (size,) = _SIZE.unpack(await self._reader.readexactly(_SIZE.size))
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            self.close()
            raise WorkerEndedError("the process that searches ended") from error

    def retire(self) -> None:
        """Close once no batch is running."""
        self._retired = True
        if not self._running:
            self.close()

    def close(self) -> None:
        self._writer.close()
