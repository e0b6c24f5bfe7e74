"""One sound → the codes of its windows: decoded in a process, encoded in batches with others.

Axes: n and W = windows, V = audio code. Times in seconds; a deadline is of `time.monotonic()`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import Source
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.arrays import Array
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.inference.batcher import Batcher
from earmark.model.inference.decode_pool import Block, DecodePool

GATHERED = 32  # blocks of codes at a time


@dataclass(frozen=True)
class PendingEmbedding:
    """A decoded sound whose codes are being computed.

    `codes`: futures of blocks [n, V]; `starts` [W] of the windows, in seconds;
    `decode_seconds` and `feature_seconds`: what decoding and log-mel features took.
    """

    codes: list[Future[Array]]
    starts: npt.NDArray[np.float64]
    info: SoundInfo
    metadata: FileMetadata
    decode_seconds: float
    feature_seconds: float

    def embedding(self, embedder: Embedder, deadline: float | None = None) -> AudioEmbedding:
        """Wait for the codes and embed the sound. Raises TimeoutError after the deadline."""
        try:
            codes = [
                block.result(None if deadline is None else max(0.0, deadline - time.monotonic()))
                for block in self.codes
            ]
        except BaseException:
            _cancel(self.codes)
            raise
        embedding = embedder.embed_codes(np.concatenate(codes), self.starts, self.info)
        return replace(embedding, metadata=self.metadata)


def encode_sound(
    decoders: DecodePool,
    batcher: Batcher,
    source: Source,
    name: str,
    max_seconds: float | None = None,
    deadline: float | None = None,
    on_block: Callable[[Block], None] = lambda _: None,
    with_metadata: bool = False,
) -> PendingEmbedding:
    """Decode a sound and queue its windows for encoding, block by block.

    `on_block` is called with each block of windows as it is decoded. `with_metadata`: the metadata
    in the file is read as well. Raises AudioError,
    TimeoutError after the deadline, and what `on_block` raises.
    """
    codes, starts = [], []
    decode_seconds = feature_seconds = 0.0
    info, metadata = None, FileMetadata()
    reading = decoders.read(source, name, max_seconds, deadline, with_metadata=with_metadata)
    try:
        with closing(reading) as messages:  # where it is given up, its process ends at once
            for message in messages:
                if isinstance(message, Block):
                    on_block(message)
                    codes.append(batcher.put(message.windows))
                    _gather(codes)
                    starts.append(message.starts)
                    decode_seconds += message.decode_seconds
                    feature_seconds += message.feature_seconds
                elif isinstance(message, FileMetadata):
                    metadata = message
                else:
                    info = message
    except BaseException:
        _cancel(codes)
        raise
    assert info is not None, "the last message is the sound's info"
    return PendingEmbedding(
        codes, np.concatenate(starts), info, metadata, decode_seconds, feature_seconds
    )


def _gather(codes: list[Future[Array]]) -> None:
    """Put one array in place of the first blocks, once they are done. Many small ones amid large
    ones that come and go would keep a sound of hours from giving memory back."""
    first = codes[:GATHERED]
    if len(codes) >= 2 * GATHERED and all(block.done() for block in first):
        gathered: Future[Array] = Future()
        gathered.set_result(np.concatenate([block.result() for block in first]))
        codes[:GATHERED] = [gathered]


def _cancel(codes: list[Future[Array]]) -> None:
    """Drop what is still queued."""
    for block in codes:
        block.cancel()
