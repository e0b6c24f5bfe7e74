"""Many files → their embeddings, on this machine: processes read, an encoder takes batches.

Sounds come out in the order in which they went in. Memory is bounded: so many sounds are on
their way at a time.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass

from earmark.index.catalogue.embedded_sound import Lot, Origin, Sound, shown
from earmark.model.core.errors import AudioError
from earmark.model.embedder import Embedder
from earmark.model.inference.batcher import Batches
from earmark.model.inference.decode_pool import Readers
from earmark.model.inference.encode import Heard, hear

LOT_CLIPS = 32
LOT_SECONDS = 2.0  # a slow lot is given out before it is full
ON_THE_WAY = 64  # sounds
BATCH_CPU, BATCH_GPU = 16, 512  # windows


@dataclass(frozen=True)
class _File:
    """A file that was read, and its state then."""

    heard: Heard
    size: int
    mtime_ns: int


def embed(
    embedder: Embedder,
    origins: Iterable[Origin],
    processes: int | None = None,
    readers: Readers | None = None,
    max_seconds: float | None = None,
) -> Generator[Lot]:
    """The sounds in lots. When interrupted, what is embedded comes first, then KeyboardInterrupt.

    `readers`: processes that read, kept for the next call; None for new ones. `max_seconds`: a
    longer sound is refused.
    Raises ConfigError where the model cannot embed sounds.
    """
    lot, since = Lot(), time.monotonic()
    with closing(_embed(embedder, origins, processes, readers, max_seconds)) as sounds:
        try:
            for origin, result in sounds:
                lot.take(origin, result)
                if len(lot) >= LOT_CLIPS or time.monotonic() - since > LOT_SECONDS:
                    yield lot
                    lot, since = Lot(), time.monotonic()
        except KeyboardInterrupt:
            if lot:
                yield lot
            raise
    if lot:
        yield lot


def _embed(
    embedder: Embedder,
    origins: Iterable[Origin],
    processes: int | None,
    kept: Readers | None,
    max_seconds: float | None,
) -> Generator[tuple[Origin, Sound | AudioError]]:
    """Each origin with its sound, or with the reason why it could not be read."""
    embedder.check_hears()
    count = processes or os.cpu_count() or 1
    on_gpu = embedder.device.type == "cuda"
    with (
        nullcontext(kept) if kept else Readers(embedder.log_mel, count) as readers,
        Batches(
            embedder.encode, BATCH_GPU if on_gpu else BATCH_CPU, threads=1 if on_gpu else count
        ) as batches,
        ThreadPoolExecutor(count) as pool,
    ):
        waiting: deque[tuple[Origin, Future[_File]]] = deque()
        try:
            for origin in origins:
                waiting.append((origin, pool.submit(_read, readers, batches, origin, max_seconds)))
                if len(waiting) >= ON_THE_WAY:
                    yield _next(embedder, waiting)
            while waiting:
                yield _next(embedder, waiting)
        finally:
            for _, future in waiting:
                future.cancel()
            batches.close()  # so that no thread waits to put


def _read(readers: Readers, batches: Batches, origin: Origin, max_seconds: float | None) -> _File:
    """Read a file and hand its windows to the encoder. Raises AudioError."""
    path, name = origin.path, origin.path.name
    if str(path) != shown(path):
        raise AudioError(f"{shown(name)}: its path is not UTF-8: rename it")
    try:
        state = path.stat()
    except OSError as error:
        raise AudioError(f"{name}: {error.strerror}") from error
    return _File(hear(readers, batches, path, name, max_seconds), state.st_size, state.st_mtime_ns)


def _next(
    embedder: Embedder, waiting: deque[tuple[Origin, Future[_File]]]
) -> tuple[Origin, Sound | AudioError]:
    """Wait for the oldest."""
    origin, future = waiting.popleft()
    try:
        file = future.result()
    except AudioError as error:
        return origin, error
    return origin, Sound(origin, file.heard.embedding(embedder), file.size, file.mtime_ns)
