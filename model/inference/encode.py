"""One sound → its windows' codes: read in a process, encoded together with others' windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundInfo, Source
from earmark.model.core.arrays import Array
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.inference.batcher import Batches
from earmark.model.inference.decode_pool import Block, Readers


@dataclass(frozen=True)
class Heard:
    """A sound that was read; its codes come from the encoder. Times in seconds."""

    codes: list[Future[Array]]
    first: npt.NDArray[np.int64]
    info: SoundInfo
    decoding: float
    features: float

    def embedding(self, embedder: Embedder, until: float | None = None) -> AudioEmbedding:
        """Wait for its codes, until then at the longest. Raises TimeoutError."""
        try:
            codes = [
                each.result(None if until is None else max(0.0, until - time.monotonic()))
                for each in self.codes
            ]
        except BaseException:
            _give_up(self.codes)
            raise
        return embedder.embed_codes(np.concatenate(codes), self.first, self.info)


def hear(
    readers: Readers,
    batches: Batches,
    source: Source,
    name: str,
    max_seconds: float | None = None,
    until: float | None = None,
    told: Callable[[Block], None] = lambda _: None,
) -> Heard:
    """Read a sound and hand its windows to the encoder; `told` of each block of them.

    `until`: of time.monotonic(). Raises AudioError, TimeoutError, and what `told` raises.
    """
    codes, firsts = [], []
    decoding = features = 0.0
    info = None
    try:
        for message in readers.read(source, name, max_seconds, until):
            if isinstance(message, Block):
                told(message)
                codes.append(batches.put(message.windows))
                firsts.append(message.first)
                decoding += message.decoding
                features += message.features
            else:
                info = message
    except BaseException:
        _give_up(codes)
        raise
    assert info is not None, "the last message is the sound's info"
    return Heard(codes, np.concatenate(firsts), info, decoding, features)


def _give_up(codes: list[Future[Array]]) -> None:
    """Those that still wait need not be encoded."""
    for each in codes:
        each.cancel()
