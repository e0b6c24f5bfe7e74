"""Uploads → embeddings: a bounded queue, processes that read, an encoder that takes batches.

The event loop never works here: a job waits for one of a few threads, its sound is decoded and
turned into log-mel windows by a process of its own (a crash or a bomb there costs one request), and
its windows are encoded with those of the others. A job has until its deadline, waiting included.
What nobody waits for any more is dropped where it stands.
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

BATCH_CPU, BATCH_GPU = 16, 512  # windows
NAME = "file"  # what messages call an upload: never a name that a client chose


@dataclass
class QueuedUpload:
    """A sound to be embedded. `source`: also a function that fetches it when its turn has come;
    `until`: of time.monotonic(); `told`: of each block of windows as it is read."""

    source: Source | Callable[[], bytes]
    max_seconds: float | None
    until: float
    told: Callable[[Block], None] = lambda _: None
    given_up: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Raise TimeoutError where nobody waits for it any more."""
        if self.given_up.is_set() or time.monotonic() > self.until:
            raise TimeoutError("nobody waits for it any more")

    def heard(self, block: Block) -> None:
        """A block of it was read. Raises TimeoutError."""
        self.go_on()
        self.told(block)


class UploadQueue:
    """Embeds uploads. `readers`: processes that decode; `most`: uploads in work or waiting;
    `deadline`: seconds for each."""

    def __init__(
        self, embedder: Embedder, metrics: Metrics, *, readers: int, most: int, deadline: float
    ) -> None:
        self._embedder, self._metrics = embedder, metrics
        self._most, self._deadline = most, deadline
        self._present = self._working = 0
        self._seconds = 0.1  # that an upload takes a thread, lately
        self._lock = threading.Lock()  # of the two above, that threads change
        on_gpu = embedder.device.type == "cuda"
        self._readers = DecodePool(embedder.log_mel, readers)
        self._batches = Batcher(
            self._encode,
            BATCH_GPU if on_gpu else BATCH_CPU,
            # An encoder takes a third of the work; of fewer threads each has larger batches.
            threads=1 if on_gpu else min(readers, os.cpu_count() or 1),
            on_batch=metrics.observe_batch,
        )
        # Twice as many threads as processes: half of them wait for the encoder.
        self._count = 2 * readers
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="upload")
        metrics.watch("uploads_waiting", lambda: self._present - self._working)
        metrics.watch("uploads_working", lambda: self._working)

    def close(self) -> None:
        """End threads and processes; what still waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._readers.close()
        self._batches.close()

    def admit(self) -> None:
        """Raise ProblemError (429) where too many uploads wait already: before a body is read."""
        if self._present >= self._most:
            self._metrics.count_rejection("busy")
            wait = math.ceil(self._present * self._seconds / self._count)
            raise ProblemError(
                "busy",
                f"{self._most} uploads are in work or waiting",
                {"Retry-After": str(min(max(wait, 1), 60))},
            )

    async def embed(
        self, source: Source | Callable[[], bytes], max_seconds: float | None = None
    ) -> AudioEmbedding:
        """A sound's vectors. Raises AudioError, ProblemError (429, 504)."""
        return await self.run(source, lambda embedding: embedding, max_seconds)

    async def run(
        self,
        source: Source | Callable[[], bytes],
        then: Callable[[AudioEmbedding], Result],
        max_seconds: float | None = None,
        told: Callable[[Block], None] = lambda _: None,
    ) -> Result:
        """What `then` makes of a sound's vectors, in a thread. Raises as `embed` does.

        `told`: in that thread, of each block of windows.
        """
        self.admit()
        job = QueuedUpload(source, max_seconds, time.monotonic() + self._deadline, told)
        self._present += 1
        try:
            loop = asyncio.get_running_loop()
            # What threads log and trace belongs to the request.
            own = functools.partial(contextvars.copy_context().run, self._work, job, then)
            work = loop.run_in_executor(self._threads, own)
            return await asyncio.wait_for(work, self._deadline)
        except TimeoutError as error:
            self._metrics.count_rejection("deadline")
            raise ProblemError(
                "deadline", f"the upload was not done within {self._deadline:g} s"
            ) from error
        finally:
            job.given_up.set()
            self._present -= 1

    def _work(self, job: QueuedUpload, then: Callable[[AudioEmbedding], Result]) -> Result:
        job.go_on()
        begun = time.perf_counter()
        with self._lock:
            self._working += 1
        try:
            source = job.source() if callable(job.source) else job.source
            heard = encode_sound(
                self._readers, self._batches, source, NAME, job.max_seconds, job.until, job.heard
            )
            self._metrics.add_stage("decode", heard.decode_seconds)
            self._metrics.add_stage("features", heard.feature_seconds)
            with self._metrics.span("encode"):
                embedding = heard.embedding(self._embedder, job.until)
            return then(embedding)
        finally:
            with self._lock:
                self._working -= 1
                self._seconds += 0.1 * (time.perf_counter() - begun - self._seconds)

    def _encode(self, windows: Array) -> Array:
        with self._metrics.stage("encode"):
            return self._embedder.encode(windows)
