"""Phrases → unit vectors, in a thread, some phrases of a request at a time.

The parts of all requests take turns in the order in which they came: one with thousands of phrases
does not keep another waiting for longer than one part takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics

Result = TypeVar("Result")

PART = 32  # phrases in one batch of the encoder
MAX_WAITING = 65_536  # phrases, of all requests
MAX_QUOTED = 60  # letters of a phrase in a message
RETRY = {"Retry-After": "1"}


@dataclass(frozen=True)
class Phrase:
    """A phrase to embed. `name`: of the input, in messages."""

    text: str
    name: str


class PhraseVectors:
    """Embeds phrases, for one event loop. `seconds`: the time limit of a request."""

    def __init__(self, embedder: Embedder, metrics: Metrics, seconds: float) -> None:
        self._embedder, self._metrics, self._seconds = embedder, metrics, seconds
        self._waiting = 0
        self._limiter = anyio.CapacityLimiter(1)  # those who wait are let in as they came

    async def embed(self, phrases: Sequence[Phrase]) -> tuple[Array, int]:
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
                for start in range(0, len(phrases), PART):
                    part = phrases[start : start + PART]
                    made, read = await self.run(partial(self._embed, part))
                    vectors[start : start + len(part)] = made
                    words += read
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

    def _embed(self, phrases: Sequence[Phrase]) -> tuple[Array, int]:
        with self._metrics.span("words"):
            parsed = [self._embedder.parse_tags(phrase.text) for phrase in phrases]
            for phrase, read in zip(phrases, parsed, strict=True):
                if not read.pieces:
                    raise InputError(
                        f"{phrase.name}: expected words that the model knows, "
                        f"got {phrase.text[:MAX_QUOTED]!r}"
                    )
            vectors = self._embedder.embed_tags([read.pieces for read in parsed])
            return vectors, sum(len(read.tags) for read in parsed)
