"""Many files → their embeddings, on this machine: processes decode, the encoder takes batches.

Sounds come out in the order of the files. Memory is bounded: at most MAX_PENDING sounds are in
progress at a time.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass

from earmark.index.catalogue.embedded_sound import (
    EmbeddedBatch,
    EmbeddedSound,
    SourceFile,
    printable_path,
)
from earmark.model.core.errors import AudioError
from earmark.model.embedder import Embedder
from earmark.model.inference.batcher import Batcher
from earmark.model.inference.decode_pool import DecodePool
from earmark.model.inference.encode import PendingEmbedding, encode_sound

BATCH_CLIPS = 32
BATCH_SECONDS = 2.0  # then a batch is yielded before it is full
MAX_PENDING = 64  # sounds
WINDOWS_CPU, WINDOWS_GPU = 16, 512  # windows that the encoder takes at a time


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
) -> Generator[EmbeddedBatch]:
    """The embedded sounds in batches. On an interrupt, yields what is embedded, then raises it.

    `processes`: how many decode; None for one per core. `readers`: existing processes to use;
    None to start and stop new ones. `max_seconds`: longer sounds fail.
    Raises ConfigError if the model cannot embed sounds.
    """
    batch, since = EmbeddedBatch(), time.monotonic()
    with closing(_embed(embedder, files, processes, readers, max_seconds)) as results:
        try:
            for file, result in results:
                batch.append(file, result)
                if len(batch) >= BATCH_CLIPS or time.monotonic() - since > BATCH_SECONDS:
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
) -> Generator[tuple[SourceFile, EmbeddedSound | AudioError]]:
    """Each file with its embedded sound, or with the reason why it could not be read."""
    embedder.require_audio()
    count = processes or os.cpu_count() or 1
    on_gpu = embedder.device.type == "cuda"
    with (
        nullcontext(shared_readers)
        if shared_readers
        else DecodePool(embedder.log_mel, count) as readers,
        Batcher(
            embedder.encode, WINDOWS_GPU if on_gpu else WINDOWS_CPU, threads=1 if on_gpu else count
        ) as encoder,
        ThreadPoolExecutor(count) as pool,
    ):
        pending: deque[tuple[SourceFile, Future[_ReadFile]]] = deque()
        try:
            for file in files:
                pending.append((file, pool.submit(_read, readers, encoder, file, max_seconds)))
                if len(pending) >= MAX_PENDING:
                    yield _next(embedder, pending)
            while pending:
                yield _next(embedder, pending)
        finally:
            for _, future in pending:
                future.cancel()
            encoder.close()  # wakes threads that wait for a place in its queue


def _read(
    readers: DecodePool, encoder: Batcher, file: SourceFile, max_seconds: float | None
) -> _ReadFile:
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
    pending = encode_sound(readers, encoder, path, name, max_seconds, with_metadata=True)
    return _ReadFile(pending, state.st_size, state.st_mtime_ns)


def _next(
    embedder: Embedder, pending: deque[tuple[SourceFile, Future[_ReadFile]]]
) -> tuple[SourceFile, EmbeddedSound | AudioError]:
    """Wait for the oldest file."""
    file, future = pending.popleft()
    try:
        read = future.result()
    except AudioError as error:
        return file, error
    return file, EmbeddedSound(file, read.pending.embedding(embedder), read.size, read.mtime_ns)
