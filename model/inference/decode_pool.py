"""Processes that read sounds: files or bytes → log-mel windows, apart from whoever asked.

A sound that crashes a decoder, eats memory or never ends costs its own reading and nothing
else. The processes import no torch; each is used by one thread at a time.
"""

from __future__ import annotations

import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundInfo, SoundReader, Source
from earmark.model.audio.log_mel import LogMel, patches
from earmark.model.audio.waveform import Envelope, Peaks
from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError

BLOCK_WINDOWS = 64  # most windows in one message
MEMORY_BYTES = 4 << 30  # address space of a process
SILENT_SECONDS = 60.0  # without a block: it hangs


@dataclass(frozen=True)
class Block:
    """Windows [n, T, F] of a sound, their first frames [n], and the seconds it took to decode
    and to compute them."""

    windows: Array
    first: npt.NDArray[np.int64]
    decoding: float = 0.0
    features: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """A sound's waveform [points, 2] (`model.audio.waveform`), and what is known of the sound."""

    peaks: Peaks
    info: SoundInfo


@dataclass(frozen=True)
class _Going:
    """A part of a sound was read that gives nothing to hand out yet."""


@dataclass(frozen=True)
class _Job:
    """A sound to be read: as windows, or as a waveform of so many points."""

    source: Source
    name: str
    max_seconds: float | None
    points: int = 0
    rate: int = 0  # Hz, of a waveform's samples


Message = Block | SoundInfo | Drawn | _Going


def serve(descriptor: int) -> None:
    """What a process does until the other end of its connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _hush()
    connection = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        log_mel: LogMel = connection.recv()
        while True:
            job: _Job = connection.recv()
            rate = job.rate or log_mel.config.sample_rate
            reader = SoundReader(job.source, rate, job.name, job.max_seconds)
            messages = _drawn(reader, job.points) if job.points else _blocks(log_mel, reader)
            try:
                for message in messages:
                    connection.send(message)
            except AudioError as error:
                connection.send(error)
            except MemoryError:
                connection.send(AudioError(f"{job.name}: takes too much memory to read"))
            else:
                if not job.points:
                    connection.send(reader.info)


def _hush() -> None:
    """Keep out of the log what decoders write to standard error by themselves, as libmpg123 does;
    what Python has to say still comes there."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)


def _blocks(log_mel: LogMel, reader: SoundReader) -> Iterator[Block]:
    """A sound's windows. Raises AudioError."""
    decoding = 0.0

    def decoded() -> Iterator[Array]:
        nonlocal decoding
        begun = time.perf_counter()
        for samples in reader.blocks():
            decoding += time.perf_counter() - begun
            yield samples
            begun = time.perf_counter()
        decoding += time.perf_counter() - begun

    begun = time.perf_counter()
    for windows, first in patches(log_mel, decoded(), BLOCK_WINDOWS):
        took = time.perf_counter() - begun
        yield Block(windows, first, decoding, took - decoding)
        begun, decoding = time.perf_counter(), 0.0


def _drawn(reader: SoundReader, points: int) -> Iterator[Drawn | _Going]:
    """A sound's waveform at last, and a sign of life for each block. Raises AudioError."""
    envelope = Envelope(points)
    for samples in reader.blocks():
        envelope.add(samples)
        yield _Going()
    yield Drawn(envelope.peaks(), reader.info)


class _Process:
    """One reading process and the connection to it.

    Not of multiprocessing: that would import its caller's main module, which may not expect it.
    """

    def __init__(self, log_mel: LogMel) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = f"from {__name__} import serve; serve({theirs.fileno()})"
            self.process = subprocess.Popen(  # noqa: S603 (our own words)
                [sys.executable, "-P", "-c", command],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._pipe = Connection(ours.detach())
        self._pipe.send(log_mel)
        self.busy = self.used = False

    def send(self, job: _Job) -> None:
        """Begin a job. Raises OSError where the process has ended."""
        self.busy = self.used = True
        self._pipe.send(job)

    def receive(self, name: str, until: float | None = None) -> Message:
        """Its next message. Raises AudioError, TimeoutError, EOFError where it has ended."""
        left = SILENT_SECONDS if until is None else until - time.monotonic()
        # What came too late is late, even where it is there by now.
        if left <= 0 or not self._pipe.poll(min(SILENT_SECONDS, left)):
            if left < SILENT_SECONDS:
                raise TimeoutError(f"{name}: not read in time")
            raise AudioError(f"{name}: reading it took over {SILENT_SECONDS:g} s")
        message: Message | AudioError = self._pipe.recv()
        self.busy = isinstance(message, Block | _Going)
        if isinstance(message, AudioError):
            raise message
        return message

    def close(self) -> None:
        """End it, whatever it does."""
        self._pipe.close()
        self.process.kill()
        self.process.wait()


class Readers:
    """A pool of at most `count` reading processes, started as they are needed."""

    def __init__(self, log_mel: LogMel, count: int) -> None:
        self._log_mel = log_mel
        self._free = threading.Semaphore(count)
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._closed = False

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the idle processes now, those at work when they are given back."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def read(
        self,
        source: Source,
        name: str,
        max_seconds: float | None = None,
        until: float | None = None,
    ) -> Iterator[Block | SoundInfo]:
        """The sound's windows, block by block, and at last what is known of it.

        `until`: of time.monotonic(), when it is no longer wanted. Waits for a free process.
        Raises AudioError, TimeoutError.
        """
        for message in self._messages(_Job(source, name, max_seconds), until):
            assert isinstance(message, Block | SoundInfo), "what such a job gives"
            yield message

    def draw(
        self, source: Source, name: str, points: int, rate: int, until: float | None = None
    ) -> Drawn:
        """The sound's waveform in so many points, of its samples at `rate` (its own, in Hz).

        Raises as `read` does.
        """
        drawn: Message | None = None
        for message in self._messages(_Job(source, name, None, points, rate), until):
            drawn = message
        assert isinstance(drawn, Drawn), "what such a job gives at last"
        return drawn

    def _messages(self, job: _Job, until: float | None) -> Iterator[Message]:
        """All that a job gives. A kept process that ends before it has given anything may have been
        ended by something else: then a new one has to try."""
        new = False
        while True:
            with self._borrowed(new) as own:
                try:
                    new = not own.used
                    own.send(job)
                    while own.busy:
                        message = own.receive(job.name, until)
                        new = True
                        yield message
                    return
                except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                    if new:
                        raise AudioError(
                            f"{job.name}: reading it ended the process that read"
                        ) from error
                    new = True

    def _waiting(self) -> _Process | None:
        """An idle process, if there is one; one that has ended meanwhile costs nobody's sound."""
        with suppress(queue.Empty):
            while (own := self._idle.get_nowait()).process.poll() is not None:
                own.close()
            return own
        return None

    @contextmanager
    def _borrowed(self, new: bool = False) -> Iterator[_Process]:
        """A process that is idle, or new; kept for the next where it has done its work."""
        with self._free:
            own = (None if new else self._waiting()) or _Process(self._log_mel)
            try:
                yield own
            finally:
                if own.busy or self._closed:
                    own.close()
                else:
                    self._idle.put(own)
