"""Uploads → embeddings: a bounded queue, processes that decode, an encoder that takes batches.

The event loop never does this work. An upload waits for one of a few threads; a process decodes it
and computes its log-mel windows (a crash or a decompression bomb there fails one request); its
windows are encoded in batches with those of other uploads. An upload has until its deadline,
waiting included. An upload whose client has gone is dropped at the next block.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from earmark.model.audio.decode import Source
from earmark.model.core.arrays import Array
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.inference.batcher import Batcher
from earmark.model.inference.decode_pool import Block, DecodePool
from earmark.model.inference.encode import encode_sound
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

Result = TypeVar("Result")
OnBlock = Callable[[Block], None]

BATCH_CPU, BATCH_GPU = 16, 512  # windows
NAME = "file"  # stands in messages for an upload's name, which the client chose


@dataclass
class QueuedUpload:
    """An upload to embed.

    `source`: the sound, or a function that gives it when its turn has come; `deadline`: of
    time.monotonic(); `on_block`: called with each block of windows; `with_metadata`: the metadata
    in the file is read as well; `name`: of the sound in messages.
    """

    source: Source | Callable[[], Source]
    max_seconds: float | None
    deadline: float
    on_block: OnBlock = lambda _: None
    with_metadata: bool = False
    name: str = NAME
    abandoned: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise TimeoutError after the deadline, or where nobody waits for the result."""
        if self.abandoned.is_set() or time.monotonic() > self.deadline:
            raise TimeoutError("nobody waits for this upload")

    def handle_block(self, block: Block) -> None:
        """Pass on a decoded block. Raises TimeoutError."""
        self.check()
        self.on_block(block)


class UploadQueue:
    """Embeds uploads. `decoders`: processes that decode; `max_uploads`: waiting or in work;
    `seconds`: the time limit of each."""

    def __init__(
        self,
        embedder: Embedder,
        metrics: Metrics,
        *,
        decoders: int,
        max_uploads: int,
        seconds: float,
    ) -> None:
        self._embedder, self._metrics = embedder, metrics
        self._max_uploads, self._seconds = max_uploads, seconds
        self._present = self._working = 0
        self._mean_seconds = 0.1  # moving average of an upload's time in a thread
        self._lock = threading.Lock()  # for the two above, which threads change
        on_gpu = embedder.on_gpu
        self._decoders = DecodePool(embedder.front_end, decoders)
        self._batcher = Batcher(
            self._encode,
            BATCH_GPU if on_gpu else BATCH_CPU,
            # Encoding is a third of the work, and fewer threads get larger batches.
            threads=1 if on_gpu else min(decoders, os.cpu_count() or 1),
            on_batch=metrics.observe_batch,
        )
        # Twice as many threads as processes: half of them wait for the encoder.
        self._thread_count = 2 * decoders
        self._threads = ThreadPoolExecutor(self._thread_count, thread_name_prefix="upload")
        metrics.watch("uploads_waiting", lambda: self._present - self._working)
        metrics.watch("uploads_working", lambda: self._working)

    def close(self) -> None:
        """End threads and processes, and drop waiting uploads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._decoders.close()
        self._batcher.close()

    def admit(self) -> None:
        """Raise ProblemError (429) if the queue is full. To be called before a body is read."""
        if self._present >= self._max_uploads:
            self._metrics.count_rejection("busy")
            wait = math.ceil(self._present * self._mean_seconds / self._thread_count)
            raise ProblemError(
                "busy",
                f"{self._max_uploads} uploads are in work or waiting",
                {"Retry-After": str(min(max(wait, 1), 60))},
            )

    async def embed(
        self,
        source: Source | Callable[[], Source],
        max_seconds: float | None = None,
        *,
        with_metadata: bool = False,
        name: str = NAME,
    ) -> AudioEmbedding:
        """A sound's embedding, and the metadata in its file if that is asked for.

        Raises AudioError, ProblemError (429, 504).
        """
        return await self.run(
            source,
            lambda embedding: embedding,
            max_seconds,
            with_metadata=with_metadata,
            name=name,
        )

    async def run(
        self,
        source: Source | Callable[[], Source],
        then: Callable[[AudioEmbedding], Result],
        max_seconds: float | None = None,
        on_block: OnBlock = lambda _: None,
        *,
        with_metadata: bool = False,
        name: str = NAME,
    ) -> Result:
        """The result of `then` on a sound's embedding, computed in a thread. Raises as `embed`.

        `on_block` is called in that thread.
        """
        self.admit()
        upload = QueuedUpload(
            source, max_seconds, time.monotonic() + self._seconds, on_block, with_metadata, name
        )
        self._present += 1
        try:
            loop = asyncio.get_running_loop()
            # The context goes along: the thread's logs and spans belong to the request.
            work = functools.partial(contextvars.copy_context().run, self._work, upload, then)
            return await asyncio.wait_for(loop.run_in_executor(self._threads, work), self._seconds)
        except TimeoutError as error:
            self._metrics.count_rejection("deadline")
            raise ProblemError(
                "deadline", f"the upload was not done within {self._seconds:g} s"
            ) from error
        finally:
            upload.abandoned.set()
            self._present -= 1

    def _work(self, upload: QueuedUpload, then: Callable[[AudioEmbedding], Result]) -> Result:
        upload.check()
        started = time.perf_counter()
        with self._lock:
            self._working += 1
        try:
            source = upload.source() if callable(upload.source) else upload.source
            pending = encode_sound(
                self._decoders,
                self._batcher,
                source,
                upload.name,
                upload.max_seconds,
                upload.deadline,
                upload.handle_block,
                upload.with_metadata,
            )
            self._metrics.add_stage("decode", pending.decode_seconds)
            self._metrics.add_stage("features", pending.feature_seconds)
            with self._metrics.span("encode"):
                embedding = pending.embedding(self._embedder, upload.deadline)
            return then(embedding)
        finally:
            with self._lock:
                self._working -= 1
                seconds = time.perf_counter() - started
                self._mean_seconds += 0.1 * (seconds - self._mean_seconds)

    def _encode(self, windows: Array) -> Array:
        with self._metrics.stage("encode"):
            return self._embedder.encode(windows)
