"""A pool of processes that decode sounds: files or bytes → log-mel windows, a picture, or a cut.
They also write tags into files, whose parsers could be misled as decoders can.

A sound that crashes a decoder, exhausts memory or never ends, or whose store does not answer, costs
its own decoding and nothing else. The processes import no torch; each serves one thread at a time.
Axes: n = windows, T = frames, F = mels. A deadline is of `time.monotonic()`, in seconds.
"""

from __future__ import annotations

import hashlib
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.audio.cut import Cut, Kind
from earmark.model.audio.decode import SoundReader, Source
from earmark.model.audio.file_metadata import FileMetadata, read_file_metadata
from earmark.model.audio.loudness import LoudnessMeter
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.stretch import Stretch
from earmark.model.cloud.cloud_file import StoredFile
from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError, InputError
from earmark.model.drawing.png import grey_png
from earmark.model.drawing.spectrogram import Canvas, Spectrogram
from earmark.model.drawing.waveform import Envelope, Peaks
from earmark.model.file_tags.containers import write_file_tags
from earmark.model.file_tags.fields import FieldChanges
from earmark.model.front_end import FrontEnd
from earmark.model.inference.bounds import OutOfTimeError, bounded

BLOCK_WINDOWS = 64  # at most in one message
MEMORY_BYTES = 4 << 30  # address space of a process
SILENT_SECONDS = 60.0  # without a message: the process hangs
SLOW_DISK = 20e6  # bytes in a second; what was joined is searched for before the first message
METADATA_SECONDS, METADATA_BYTES = 2.0, 256 << 20  # that reading the metadata in a file may take
TAGS_SECONDS, TAGS_BYTES = 60.0, 1 << 30  # that writing tags into it may take


@dataclass(frozen=True)
class Block:
    """Features of windows [n, …] of a sound, their starts [n] in seconds, and the seconds that
    decoding and the features took."""

    windows: Array
    starts: npt.NDArray[np.float64]
    decode_seconds: float = 0.0
    feature_seconds: float = 0.0

    def end(self, window_seconds: float) -> float:
        """Where in its sound the last window ends, in seconds."""
        return float(self.starts[-1]) + window_seconds


@dataclass(frozen=True)
class Waveform:
    """A sound's peaks [points, 2] (`model.drawing.waveform`), and its format and length."""

    peaks: Peaks
    info: SoundInfo


@dataclass(frozen=True)
class Picture:
    """A sound's spectrogram (`model.drawing.spectrogram`) as a PNG file."""

    png: bytes


@dataclass(frozen=True)
class Piece:
    """Bytes of a file that is cut out of a sound, and how many the whole has, where known."""

    data: bytes
    size: int | None


@dataclass(frozen=True)
class Measured:
    """A sound's format and loudness, how many samples its channels have together, and the SHA-256
    of them all."""

    info: SoundInfo
    samples: int
    sha256: str


@dataclass(frozen=True)
class Told:
    """What a file tells of itself, once the tags that it gets are written."""

    metadata: FileMetadata


@dataclass(frozen=True)
class _Heartbeat:
    """Part of a sound was decoded, and there is no result yet."""


@dataclass(frozen=True)
class _Job:
    """A sound to decode: into windows, into a waveform if `points` is not 0, into a spectrogram
    where there is a `canvas`, or into the file of a `kind`; or just to be `measured`. Or a file
    that gets `tags`, and is read.

    `with_metadata`: its loudness is measured as well, and once all windows are there, the metadata
    in its file is read.
    """

    source: Source
    name: str
    max_seconds: float | None = None
    points: int = 0
    sample_rate: int = 0  # Hz, of the samples that are drawn
    canvas: Canvas | None = None
    with_metadata: bool = False
    kind: Kind | None = None
    measured: bool = False
    tags: FieldChanges | None = None


Message = (
    Block | FileMetadata | SoundInfo | Waveform | Picture | Piece | Measured | Told | _Heartbeat
)


def serve(descriptor: int) -> None:
    """The main loop of a decoding process; ends when the other end closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    _silence_decoders()
    connection = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        front_end: FrontEnd | None = connection.recv()
        while True:
            job: _Job = connection.recv()
            sample_rate = job.sample_rate or (front_end.sample_rate if front_end else 0)
            reader = SoundReader(
                job.source,
                sample_rate,
                job.name,
                job.max_seconds,
                on_skip=lambda: connection.send(_Heartbeat()),
                with_loudness=job.with_metadata,
            )
            try:
                for message in _messages(job, reader, front_end):
                    connection.send(message)
                metadata = FileMetadata()
                if job.with_metadata:
                    metadata = _metadata(reader.source)
                    reader.check_store()
            except InputError as error:
                connection.send(error)
            except MemoryError:
                connection.send(AudioError(f"{job.name}: decoding it takes too much memory"))
            else:
                if metadata != FileMetadata():
                    connection.send(metadata)
                if not (job.points or job.canvas or job.measured or job.tags is not None):
                    connection.send(reader.info)


def _messages(job: _Job, reader: SoundReader, front_end: FrontEnd | None) -> Iterator[Message]:
    """What a job gives, but for metadata and the sound's info. Raises InputError."""
    if job.points:
        return _waveform(reader, job.points)
    if job.canvas:
        return _spectrogram(reader, job.canvas)
    if job.measured:
        return _measured(reader)
    if job.kind is not None:
        return _pieces(reader, job.kind)
    if job.tags is not None:
        return _tagged(job, job.tags)
    assert front_end is not None, "of a pool that makes windows"
    return _blocks(front_end, reader)


def _silence_decoders() -> None:
    """Keep what C decoders such as libmpg123 print to standard error out of the log; Python's own
    messages still go there."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as devnull:  # noqa: PTH123
        os.dup2(devnull.fileno(), 2)


def _blocks(front_end: FrontEnd, reader: SoundReader) -> Iterator[Block]:
    """A sound's windows. Raises AudioError."""
    decode_seconds = 0.0

    def samples() -> Iterator[Array]:
        nonlocal decode_seconds
        start = time.perf_counter()
        for block in reader.blocks():
            decode_seconds += time.perf_counter() - start
            yield block
            start = time.perf_counter()
        decode_seconds += time.perf_counter() - start

    start = time.perf_counter()
    for windows, starts in front_end.windows(samples(), BLOCK_WINDOWS):
        elapsed = time.perf_counter() - start
        yield Block(windows, starts, decode_seconds, elapsed - decode_seconds)
        start, decode_seconds = time.perf_counter(), 0.0


def _metadata(source: StoredFile | bytes) -> FileMetadata:
    """The metadata in a file; what takes too much to read counts as none."""
    with suppress(OutOfTimeError, MemoryError), bounded(METADATA_SECONDS, METADATA_BYTES):
        return read_file_metadata(source)
    return FileMetadata()


def _tagged(job: _Job, changes: FieldChanges) -> Iterator[Told]:
    """Write tags into a file, and read it. Raises InputError."""
    assert isinstance(job.source, Path), "of such a job"
    try:
        if changes:
            with bounded(TAGS_SECONDS, TAGS_BYTES):
                write_file_tags(job.source, changes)
    except OSError as error:
        raise InputError(f"{job.name}: {error.strerror or 'cannot be written'}") from error
    except (OutOfTimeError, MemoryError) as error:
        raise InputError(f"{job.name}: writing its tags takes too much") from error
    yield Told(_metadata(job.source))


def _waveform(reader: SoundReader, points: int) -> Iterator[Waveform | _Heartbeat]:
    """A heartbeat for each block of samples, then the waveform. Raises AudioError."""
    envelope = Envelope(points)
    for block in reader.blocks():
        envelope.add(block)
        yield _Heartbeat()
    yield Waveform(envelope.peaks(), reader.info)


def _spectrogram(reader: SoundReader, canvas: Canvas) -> Iterator[Picture | _Heartbeat]:
    """A heartbeat for each block of samples, then the spectrogram. Raises AudioError."""
    spectrogram = Spectrogram(canvas, reader.sample_rate)
    for block in reader.blocks():
        spectrogram.add(block)
        yield _Heartbeat()
    yield Picture(grey_png(spectrogram.image()))


def _pieces(reader: SoundReader, kind: Kind) -> Iterator[Piece]:
    """The file that is cut out. Raises InputError."""
    cut = Cut(reader, kind, is_within=True)
    for data in cut.pieces():
        if data:
            yield Piece(data, cut.size)


def _measured(reader: SoundReader) -> Iterator[Measured | _Heartbeat]:
    """A heartbeat for each block of samples, then what is measured. Raises AudioError."""
    digest, samples = hashlib.sha256(), 0
    meter: LoudnessMeter | None = None
    with reader.opened() as raw:
        for block in raw.blocks():
            meter = meter or LoudnessMeter(raw.info.sample_rate, block.shape[1])
            meter.add(block.astype(np.float32, copy=False))
            digest.update(block.tobytes())
            samples += block.size
            yield _Heartbeat()
    reader.info.loudness = meter.loudness() if meter else None
    yield Measured(reader.info, samples, digest.hexdigest())


class _Process:
    """A decoding process and the connection to it.

    Not multiprocessing's: that imports the main module of its caller, which may have effects.
    """

    def __init__(self, front_end: FrontEnd | None) -> None:
        parent, child = socket.socketpair()
        with child:
            command = f"from {__name__} import serve; serve({child.fileno()})"
            self.process = subprocess.Popen(  # noqa: S603 (a constant command)
                [sys.executable, "-P", "-c", command],
                stdin=subprocess.DEVNULL,
                pass_fds=[child.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection = Connection(parent.detach())
        self._connection.send(front_end)
        self.is_busy = self.is_used = False
        self._silence = SILENT_SECONDS

    def send(self, job: _Job) -> None:
        """Start a job. Raises OSError if the process has ended."""
        self.is_busy = self.is_used = True
        self._silence = SILENT_SECONDS + _bytes_of(job.source) // SLOW_DISK
        self._connection.send(job)

    def receive(self, name: str, deadline: float | None = None) -> Message:
        """The next message. Raises InputError, TimeoutError, EOFError if the process has ended."""
        left = self._silence if deadline is None else deadline - time.monotonic()
        # A message that is ready counts as late after the deadline.
        if left <= 0 or not self._connection.poll(min(self._silence, left)):
            if left < self._silence:
                raise TimeoutError(f"{name}: not decoded in time")
            raise AudioError(f"{name}: decoding it took over {self._silence:g} s")
        message: Message | InputError = self._connection.recv()
        self.is_busy = isinstance(message, Block | FileMetadata | Piece | _Heartbeat)
        if isinstance(message, InputError):
            raise message
        return message

    def close(self) -> None:
        """Kill the process, busy or not."""
        self._connection.close()
        self.process.kill()
        self.process.wait()


def _bytes_of(source: Source) -> int:
    """The size of a sound's file; 0 for bytes, which no disk has to give."""
    path = source.source if isinstance(source, Stretch) else source
    with suppress(OSError):
        return path.stat().st_size if isinstance(path, Path) else 0
    return 0


class DecodePool:
    """At most `size` decoding processes, started on demand. `front_end`: makes windows; None where
    none are asked for."""

    def __init__(self, front_end: FrontEnd | None, size: int) -> None:
        self._front_end = front_end
        self._slots = threading.Semaphore(size)
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self._closed = False

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End idle processes now, and busy ones when their job is over."""
        self._closed = True
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def read(
        self,
        source: Source,
        name: str,
        max_seconds: float | None = None,
        deadline: float | None = None,
        *,
        with_metadata: bool = False,
    ) -> Generator[Block | FileMetadata | SoundInfo]:
        """The sound's windows block by block, the metadata in its file if that is asked for and
        there is any, then its format and length, with its loudness if metadata are asked for.

        Waits for a free process. Raises AudioError, and TimeoutError after the deadline.
        """
        job = _Job(source, name, max_seconds, with_metadata=with_metadata)
        for message in self._run(job, deadline):
            if not isinstance(message, _Heartbeat):
                assert isinstance(message, Block | FileMetadata | SoundInfo), "of such a job"
                yield message

    def waveform(
        self,
        source: Source,
        name: str,
        points: int,
        sample_rate: int,
        deadline: float | None = None,
    ) -> Waveform:
        """The sound's waveform in `points` peaks, from samples at `sample_rate` (the file's, Hz).

        Raises as `read` does.
        """
        last: Message | None = None
        job = _Job(source, name, points=points, sample_rate=sample_rate)
        for message in self._run(job, deadline):
            last = message
        assert isinstance(last, Waveform), "the last message of such a job"
        return last

    def measure(self, source: Source, name: str, deadline: float | None = None) -> Measured:
        """What is measured of a sound's samples. Raises as `read` does."""
        last: Message | None = None
        for message in self._run(_Job(source, name, measured=True), deadline):
            last = message
        assert isinstance(last, Measured), "the last message of such a job"
        return last

    def tag(self, path: Path, name: str, changes: FieldChanges) -> FileMetadata:
        """Write tags into a file, in place, if there are any; returns what it tells then.

        Raises InputError, and leaves a file that cannot be trusted, where that fails.
        """
        last: Message | None = None
        for message in self._run(_Job(path, name, tags=changes), None):
            last = message
        assert isinstance(last, Told), "the last message of such a job"
        return last.metadata

    def spectrogram(
        self,
        source: Source,
        name: str,
        canvas: Canvas,
        sample_rate: int,
        deadline: float | None = None,
    ) -> bytes:
        """The sound's spectrogram as a PNG file, from samples at `sample_rate` (the file's, Hz).

        Raises as `read` does.
        """
        last: Message | None = None
        job = _Job(source, name, sample_rate=sample_rate, canvas=canvas)
        for message in self._run(job, deadline):
            last = message
        assert isinstance(last, Picture), "the last message of such a job"
        return last.png

    def cut(
        self, stretch: Stretch, name: str, kind: Kind, deadline: float | None = None
    ) -> Generator[Piece]:
        """The file of a kind with the samples of a stretch (`model.audio.cut`), whose end the sound
        reaches. Pieces are empty as long as what lies before the stretch is decoded.

        Until its end it keeps a process. Raises as `read` does, and InputError.
        """
        for message in self._run(_Job(stretch, name, kind=kind), deadline):
            if isinstance(message, Piece | _Heartbeat):
                yield message if isinstance(message, Piece) else Piece(b"", None)

    def _run(self, job: _Job, deadline: float | None) -> Iterator[Message]:
        """The messages of a job. If a process that has served before ends without a message, the
        cause may lie elsewhere (an earlier sound, the kernel): a new process tries again."""
        is_new = False
        while True:
            with self._borrow(is_new) as process:
                try:
                    is_new = not process.is_used
                    process.send(job)
                    while process.is_busy:
                        message = process.receive(job.name, deadline)
                        is_new = True
                        yield message
                    return
                except (EOFError, BrokenPipeError, ConnectionResetError) as error:
                    if is_new:
                        raise AudioError(f"{job.name}: decoding it crashed the decoder") from error
                    is_new = True

    def _take_idle(self) -> _Process | None:
        """An idle process that is alive, if any."""
        with suppress(queue.Empty):
            while (process := self._idle.get_nowait()).process.poll() is not None:
                process.close()
            return process
        return None

    @contextmanager
    def _borrow(self, new: bool = False) -> Iterator[_Process]:
        """An idle process, or a new one; returned to the pool if its job is over."""
        with self._slots:
            process = (None if new else self._take_idle()) or _Process(self._front_end)
            try:
                yield process
            finally:
                if process.is_busy or self._closed:
                    process.close()
                else:
                    self._idle.put(process)
