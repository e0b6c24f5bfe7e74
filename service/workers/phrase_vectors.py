"""Phrases → unit vectors, in a thread, in batches that requests share.

A request puts some of its phrases into the queue at a time, and the next ones when these are done:
one with thousands of phrases does not keep another waiting for longer than one batch takes. What
waits when the thread is free becomes the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TypeVar

import anyio
import anyio.to_thread
import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder, ParsedTags
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

Result = TypeVar("Result")

MAX_BATCH = 32  # phrases; a long one counts as several
LONG = 1_000  # letters: a model of single words looks up each, which takes long
MAX_WAITING = 65_536  # phrases, of all requests
MAX_QUOTED = 60  # letters of a phrase in a message
RETRY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Phrase:
    """A phrase to embed. `name`: of the input, in messages."""

    text: str
    name: str


Vectors = tuple[Array, int]  # [n, D], and the number of words that were read


@dataclass(frozen=True)
class _Part:
    """Some phrases of a request that wait for their vectors."""

    phrases: Sequence[Phrase]
    vectors: asyncio.Future[Vectors]

    @property
    def weight(self) -> int:
        """How many short phrases take as long."""
        return sum(map(_weight, self.phrases))


class PhraseVectors:
    """Embeds phrases, for one event loop. `seconds`: the time limit of a request."""

    def __init__(self, embedder: Embedder, metrics: Metrics, seconds: float) -> None:
        self._embedder, self._metrics, self._seconds = embedder, metrics, seconds
        self._waiting = 0  # phrases
        self._parts: deque[_Part] = deque()
        self._working: asyncio.Task[None] | None = None
        self._limiter = anyio.CapacityLimiter(1)  # those who wait are let in as they came

    async def embed(self, phrases: Sequence[Phrase]) -> Vectors:
        """Unit vectors [n, D], and the number of words that the model has read.

        Raises InputError for a phrase without a known word, ProblemError (429, 504).
        """
        if self._waiting + len(phrases) > MAX_WAITING:
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._waiting} phrases are waiting", RETRY)
        self._waiting += len(phrases)
        vectors = np.empty((len(phrases), self._embedder.dim), dtype=np.float32)
        words = 0
        try:
            async with asyncio.timeout(self._seconds):
                start = 0
                while part := _first_part(phrases[start : start + MAX_BATCH]):
                    vectors[start : start + len(part)], read = await self._embed_part(part)
                    words += read
                    start += len(part)
        except TimeoutError as error:
            self._metrics.count_rejection("deadline")
            raise ProblemError(
                "deadline", f"the phrases were not embedded within {self._seconds:g} s"
            ) from error
        finally:
            self._waiting -= len(phrases)
        return vectors, words

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of short work in the same thread, in its turn."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def _embed_part(self, phrases: Sequence[Phrase]) -> Vectors:
        loop = asyncio.get_running_loop()
        part = _Part(phrases, loop.create_future())
        self._parts.append(part)
        if self._working is None:
            # Outside any request's trace: a batch belongs to several requests.
            self._working = loop.create_task(self._work(), context=Context())
        with self._metrics.span("words"):
            return await part.vectors

    async def _work(self) -> None:
        """Embed what waits, batch by batch."""
        try:
            while batch := self._next_batch():
                try:
                    embed = partial(self._embed_batch, [part.phrases for part in batch])
                    made = await self.run(embed)
                except Exception as error:  # noqa: BLE001 (the requests of the batch get it)
                    made = [error] * len(batch)
                for part, vectors in zip(batch, made, strict=True):
                    _resolve(part, vectors)
        finally:
            self._working = None

    def _next_batch(self) -> list[_Part]:
        batch: list[_Part] = []
        count = 0
        while self._parts and (not batch or count + self._parts[0].weight <= MAX_BATCH):
            part = self._parts.popleft()
            if not part.vectors.done():  # else its client has left
                batch.append(part)
                count += part.weight
        return batch

    def _embed_batch(self, parts: Sequence[Sequence[Phrase]]) -> list[Vectors | Exception]:
        """The vectors of each part, or its error."""
        read = [self._read(part) for part in parts]
        good = [part for part in read if not isinstance(part, Exception)]
        vectors = self._embedder.embed_tags([parsed.pieces for part in good for parsed in part])
        made: list[Vectors | Exception] = []
        end = 0
        for part in read:
            if isinstance(part, Exception):
                made.append(part)
                continue
            start, end = end, end + len(part)
            made.append((vectors[start:end], sum(len(parsed.tags) for parsed in part)))
        return made

    def _read(self, part: Sequence[Phrase]) -> list[ParsedTags] | InputError:
        """What the model reads of each phrase, or the error of the first that it cannot read."""
        parsed = [self._embedder.parse_tags(phrase.text) for phrase in part]
        for phrase, read in zip(part, parsed, strict=True):
            if not read.pieces:
                return InputError(
                    f"{phrase.name}: expected words that the model knows, "
                    f"got {phrase.text[:MAX_QUOTED]!r}"
                )
        return parsed


def _weight(phrase: Phrase) -> int:
    return 1 + len(phrase.text) // LONG


def _first_part(phrases: Sequence[Phrase]) -> Sequence[Phrase]:
    """As many as fit into a batch, and one at least where there is one."""
    weights = accumulate(map(_weight, phrases))
    return phrases[: max(1, sum(weight <= MAX_BATCH for weight in weights))]


def _resolve(part: _Part, vectors: Vectors | Exception) -> None:
    if part.vectors.done():
        return  # its client has left
    if isinstance(vectors, Exception):
        part.vectors.set_exception(vectors)
    else:
        part.vectors.set_result(vectors)
