"""Samples → a spectrogram: how loud each frequency is at each time, as grey values.

Values are uint8 [height, width]. Columns are in order of time and equally long; rows are equally
high in mel (2595 log10(1 + Hz / 700)), from half the sample rate at the top to 0 Hz at the bottom.
A value is the power in its row, linear in dB: 0 is `FLOOR_DB` or less and 255 `TOP_DB` or more;
0 dB is a sine at full scale. A column holds the loudest of its windows, which leave no gap between
them, but in sounds of several hours. Axes: n = samples, B = frequency bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

Samples = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

FLOOR_DB, TOP_DB = -100.0, -20.0
MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS = 0.01, 0.045
WINDOW_COLUMNS = 8  # that a window spans where they are short
MIN_WINDOW = 64  # samples
MAX_FRAMES = 256  # windows of a column: those of longer columns lie apart
TONE_BINS = 1.5  # a Hann window spreads a sine over bins that have so many times its power
CHUNK_FRAMES = 256  # windows computed at once: bounds memory


@dataclass(frozen=True)
class Canvas:
    """An image of `width` times `height` pixels, for a sound of so many seconds."""

    width: int
    height: int
    seconds: float


class Spectrogram:
    """Collects blocks of a sound's samples, at a rate in Hz; `image` draws them."""

    def __init__(self, canvas: Canvas, sample_rate: int) -> None:
        self._canvas, self._rate = canvas, sample_rate
        column = canvas.seconds / canvas.width
        seconds = np.clip(WINDOW_COLUMNS * column, MIN_WINDOW_SECONDS, MAX_WINDOW_SECONDS)
        size = max(MIN_WINDOW, 1 << round(np.log2(seconds * sample_rate)))
        self._window = np.hanning(size + 1)[:-1].astype(np.float32)
        self._per_column = int(np.clip(np.ceil(column * sample_rate / size), 1, MAX_FRAMES))
        count = canvas.width * self._per_column
        centres = (np.arange(count) + 0.5) * (canvas.seconds * sample_rate / count)
        self._starts = centres.astype(np.int64) - size // 2
        self._next = 0  # the first window that is not computed
        self._rest = np.zeros(size // 2, dtype=np.float32)  # a window begins before the sound
        self._offset = -len(self._rest)  # of the rest's first sample
        self._powers = np.zeros((canvas.width, size // 2 + 1), dtype=np.float32)  # [width, B]

    def add(self, block: Samples) -> None:
        """Take the next samples [n]."""
        samples = np.concatenate([self._rest, block])
        size, end = len(self._window), self._offset + len(samples)
        complete = int(np.searchsorted(self._starts, end - size, side="right"))
        while self._next < complete:
            last = min(complete, self._next + CHUNK_FRAMES)
            starts = self._starts[self._next : last] - self._offset
            frames = np.lib.stride_tricks.sliding_window_view(samples, size)[starts]
            self._take(frames * self._window, self._next)
            self._next = last
        first = self._starts[self._next] if self._next < len(self._starts) else end
        self._rest = samples[max(0, min(first, end) - self._offset) :].copy()
        self._offset = end - len(self._rest)

    def _take(self, frames: Samples, first: int) -> None:
        """Windows [n, size], the first of which has this number."""
        spectra = scipy.fft.rfft(frames, axis=1)
        powers = spectra.real**2 + spectra.imag**2
        columns = (first + np.arange(len(frames))) // self._per_column
        changes = np.flatnonzero(np.diff(columns, prepend=-1))
        loudest = np.maximum.reduceat(powers, changes, axis=0)
        places = columns[changes]
        self._powers[places] = np.maximum(self._powers[places], loudest)

    def image(self) -> Image:
        """[height, width] of all samples; what was expected and did not come is silent."""
        self.add(np.zeros(len(self._window), dtype=np.float32))
        full_scale = (self._window.sum() / 2) ** 2
        powers = self._powers @ self._rows().T / full_scale
        decibels = 10 * np.log10(np.maximum(powers, 1e-20)).T
        shares = (decibels - FLOOR_DB) / (TOP_DB - FLOOR_DB)
        return np.asarray(np.rint(255 * np.clip(shares, 0, 1)), dtype=np.uint8)

    def _rows(self) -> npt.NDArray[np.float32]:
        """The weights [height, B] of the bins in each row: a triangle as wide as the row, or as a
        bin where that is wider."""
        bins = np.linspace(0, self._rate / 2, self._powers.shape[1])
        top = _mel(self._rate / 2)
        edges = _hertz(np.linspace(top, 0, self._canvas.height + 1))
        centres, heights = (edges[:-1] + edges[1:]) / 2, edges[:-1] - edges[1:]
        widths = np.maximum(heights, bins[1])
        weights = np.clip(1 - np.abs(bins - centres[:, None]) / widths[:, None], 0, None)
        totals = np.minimum(weights.sum(axis=1, keepdims=True), TONE_BINS)
        return np.asarray(weights / totals, dtype=np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
