"""Samples → waveform peaks: the minimum and maximum of each of `points` equal segments.

Segments are in time order; peaks are int8 [points, 2] (minimum, maximum), clipped at full scale,
127. The length of a sound is unknown until its end, so peaks are first taken of fine buckets, whose
size doubles as the sound goes on: memory stays flat, and the ends of a segment are off by one
bucket at most, a sixteenth of a segment or less.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Peaks = npt.NDArray[np.int8]

FULL_SCALE = 127
BUCKETS_PER_POINT = 32  # before they are halved
MAX_POINTS = 10_000


class Envelope:
    """Collects blocks of samples; `peaks` summarises them."""

    def __init__(self, points: int) -> None:
        self._points = points
        self._size = 1  # samples in a bucket
        self._count = 0  # filled buckets
        self._low = np.empty(BUCKETS_PER_POINT * points, dtype=np.float32)
        self._high = np.empty_like(self._low)
        self._rest = np.empty(0, dtype=np.float32)  # shorter than a bucket

    def add(self, block: Samples) -> None:
        """Take the next samples [n]."""
        samples = np.concatenate([self._rest, block]) if len(self._rest) else block
        while len(samples) >= self._size:
            if self._count == len(self._low):
                self._halve()
                continue
            whole = min(len(samples) // self._size, len(self._low) - self._count)
            self._fill(samples[: whole * self._size].reshape(whole, self._size))
            samples = samples[whole * self._size :]
        self._rest = samples.copy()

    def _fill(self, buckets: Samples) -> None:
        places = slice(self._count, self._count + len(buckets))
        self._low[places], self._high[places] = buckets.min(axis=1), buckets.max(axis=1)
        self._count += len(buckets)

    def _halve(self) -> None:
        """Merge buckets in pairs (their number is even)."""
        half = self._count // 2
        self._low[:half] = self._low.reshape(half, 2).min(axis=1)
        self._high[:half] = self._high.reshape(half, 2).max(axis=1)
        self._count, self._size = half, 2 * self._size

    def peaks(self) -> Peaks:
        """[points, 2] of all samples, at least one."""
        if len(self._rest):  # the last bucket may be shorter
            if self._count == len(self._low):
                self._halve()
            self._fill(self._rest[None])
            self._rest = self._rest[:0]
        edges = np.arange(self._points) * self._count // self._points
        # A sound of fewer samples than points repeats some.
        low = np.minimum.reduceat(self._low[: self._count], edges)
        high = np.maximum.reduceat(self._high[: self._count], edges)
        scaled = np.clip(np.stack([low, high], axis=1), -1, 1) * FULL_SCALE
        return np.asarray(np.rint(scaled), dtype=np.int8)


def peaks(blocks: Iterable[Samples], points: int) -> Peaks:
    """Blocks of a sound's samples, at least one sample → [points, 2]."""
    envelope = Envelope(points)
    for block in blocks:
        envelope.add(block)
    return envelope.peaks()
