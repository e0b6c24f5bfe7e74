"""Many files → their embeddings, on this machine: processes decode, the encoder takes batches.

Sounds come out in the order of the files. Memory is bounded: at most MAX_PENDING sounds are in
progress at a time.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import partial

from earmark.index.catalogue.embedded_sound import (
    EmbeddedBatch,
    EmbeddedSound,
    SourceFile,
    printable_path,
)
from earmark.model.core.errors import AudioError
from earmark.model.embedder import Embedder
from earmark.model.inference.batcher import Batcher
from earmark.model.inference.decode_pool import Block, DecodePool
from earmark.model.inference.encode import PendingEmbedding, encode_sound

BATCH_CLIPS = 32
BATCH_SECONDS = 2.0  # then a batch is yielded before it is full
MAX_PENDING = 64  # sounds
WINDOWS_CPU, WINDOWS_GPU = 16, 512  # windows that the encoder takes at a time


OnHeard = Callable[[SourceFile, float], None]


def ignore(_file: SourceFile, _seconds: float) -> None:
    """Do nothing with what has been heard."""


@dataclass(frozen=True)
class _ReadFile:
    """A file that was read, and its size and time then."""

    pending: PendingEmbedding
    size: int
    mtime_ns: int


def embed(
    embedder: Embedder,
    files: Iterable[SourceFile],
    processes: int | None = None,
    readers: DecodePool | None = None,
    max_seconds: float | None = None,
    *,
    on_heard: OnHeard = ignore,
) -> Generator[EmbeddedBatch]:
    """The embedded sounds in batches. On an interrupt, yields what is embedded, then raises it.

    `processes`: how many decode; None for one per core. `readers`: existing processes to use;
    None to start and stop new ones. `max_seconds`: longer sounds fail. `on_heard`: called in other
    threads with each file and the seconds of it that have been decoded, every some seconds of
    sound. Raises ConfigError if the model cannot embed sounds, and what `on_heard` raises.
    """
    batch, since = EmbeddedBatch(), time.monotonic()
    with closing(_embed(embedder, files, processes, readers, max_seconds, on_heard)) as results:
        try:
            for found in results:
                if found is not None:
                    batch.append(*found)
                is_late = time.monotonic() - since > BATCH_SECONDS
                if len(batch) >= BATCH_CLIPS or (batch and is_late):
                    yield batch
                    batch, since = EmbeddedBatch(), time.monotonic()
        except KeyboardInterrupt:
            if batch:
                yield batch
            raise
    if batch:
        yield batch


def _embed(
    embedder: Embedder,
    files: Iterable[SourceFile],
    processes: int | None,
    shared_readers: DecodePool | None,
    max_seconds: float | None,
    on_heard: OnHeard,
) -> Generator[tuple[SourceFile, EmbeddedSound | AudioError] | None]:
    """Each file with its embedded sound, or with the reason why it could not be read; None where
    the next one takes long."""
    embedder.require_audio()
    count = processes or os.cpu_count() or 1
    on_gpu = embedder.on_gpu
    with (
        nullcontext(shared_readers)
        if shared_readers
        else DecodePool(embedder.front_end, count) as readers,
        Batcher(
            embedder.encode, WINDOWS_GPU if on_gpu else WINDOWS_CPU, threads=1 if on_gpu else count
        ) as encoder,
        ThreadPoolExecutor(count) as pool,
    ):
        reading = _Reading(
            readers, encoder, embedder.front_end.window_seconds, max_seconds, on_heard
        )
        pending: deque[tuple[SourceFile, Future[_ReadFile]]] = deque()
        try:
            for file in files:
                pending.append((file, pool.submit(reading.read, file)))
                if len(pending) >= MAX_PENDING:
                    yield from _next(embedder, pending)
            while pending:
                yield from _next(embedder, pending)
        finally:
            reading.stopped.set()
            for _, future in pending:
                future.cancel()
            encoder.close()  # wakes threads that wait for a place in its queue


@dataclass(frozen=True)
class _Reading:
    """How files are read: by processes that decode, for an encoder.

    `stopped`: set where nobody waits for them any more.
    """

    readers: DecodePool
    encoder: Batcher
    window_seconds: float
    max_seconds: float | None
    on_heard: OnHeard
    stopped: threading.Event = field(default_factory=threading.Event)

    def read(self, file: SourceFile) -> _ReadFile:
        """Read a file and pass its windows to the encoder. Raises AudioError."""
        path, name = file.path, file.path.name
        if str(path) != printable_path(path):
            raise AudioError(f"{printable_path(name)}: its path is not UTF-8: rename it")
        try:
            state = path.stat()
        except OSError as error:
            raise AudioError(f"{name}: {error.strerror}") from error
        if not stat.S_ISREG(state.st_mode):  # a pipe or a device might never end
            raise AudioError(f"{name}: not a file of sound")
        pending = encode_sound(
            self.readers,
            self.encoder,
            path,
            name,
            self.max_seconds,
            on_block=partial(self._on_block, file),
            with_metadata=True,
        )
        return _ReadFile(pending, state.st_size, state.st_mtime_ns)

    def _on_block(self, file: SourceFile, block: Block) -> None:
        if self.stopped.is_set():  # amid hours of sound
            raise CancelledError
        self.on_heard(file, block.end(self.window_seconds))


def _next(
    embedder: Embedder, pending: deque[tuple[SourceFile, Future[_ReadFile]]]
) -> Iterator[tuple[SourceFile, EmbeddedSound | AudioError] | None]:
    """Wait for the oldest file. Gives None now and then meanwhile."""
    file, future = pending[0]
    while not wait([future], BATCH_SECONDS).done:
        yield None
    pending.popleft()
    try:
        read = future.result()
    except AudioError as error:
        yield file, error
    else:
        embedding = read.pending.embedding(embedder)
        yield file, EmbeddedSound(file, embedding, read.size, read.mtime_ns)
