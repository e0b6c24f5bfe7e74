"""Samples → log-mel frames → windows (paper §3.1, METHOD §1).

Frame i is centred on sample i · hop; n samples (one fewer after pre-emphasis) give 1 + n // hop
frames. Unless configured otherwise: magnitudes (power 1), Slaney-normalised mel bands, natural log
of (x + 2^-23). Nothing is random, and blocks of any size give the same frames as the whole sound.
Axes: T = frames of a window, F = mels, n = samples, frames or windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft

from earmark.model.config import FeatureConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.front_end import Windows

SEARCH_STEP = 12  # frames between candidates for the loudest patch
CHUNK_FRAMES = 4_096  # STFT frames computed at once: bounds memory
HIDING_OFFSET = 1e-5  # of power: a hundred times float32's noise beside a sound at full scale


def mel_filters(config: FeatureConfig) -> Array:
    """The mel filter bank, [F, n_fft // 2 + 1], from 0 Hz: librosa's, or Kaldi's."""
    if config.mel_scale == "kaldi":
        return _kaldi_filters(config)
    is_htk = config.mel_scale == "htk"
    highest = config.max_hz or config.sample_rate / 2
    edges = mel_edges(config.mel_scale, 0.0, highest, config.n_mels)
    bins = np.arange(config.n_fft // 2 + 1) * (config.sample_rate / config.n_fft)
    filters = mel_triangles(bins, edges).astype(np.float32)
    if is_htk:  # each sums to 1; one between two bins is empty
        sums = filters.sum(axis=1, keepdims=True, dtype=np.float64)
        return np.asarray(filters / np.where(sums > 0, sums, 1), dtype=np.float32)
    heights = 2 / (edges[2:] - edges[:-2])  # of the area 1 in Hz
    return np.asarray(filters * heights[:, None], dtype=np.float32)


def mel_edges(scale: str, lowest: float, highest: float, bands: int) -> npt.NDArray[np.float64]:
    """The edges of bands [bands + 2] in Hz, equally far apart in HTK's mel ("htk") or Slaney's."""
    if scale == "htk":
        mels = np.linspace(_htk_mel(lowest), _htk_mel(highest), bands + 2)
        return 700 * (10 ** (mels / 2595) - 1)
    mels = np.linspace(_slaney_mel(lowest), _slaney_mel(highest), bands + 2)
    above = 1_000.0 * np.exp(np.log(6.4) / 27 * np.maximum(mels - 15, 0))
    return np.where(mels < 15, 200 / 3 * mels, above)


def _htk_mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _slaney_mel(hertz: float) -> float:
    """Linear up to 1 kHz, which is 15 mel, and then 27 mel for 6.4 times."""
    linear = hertz / (200 / 3)
    return linear if hertz < 1_000 else float(15 + np.log(hertz / 1_000) / (np.log(6.4) / 27))


def mel_triangles(
    bins: npt.NDArray[np.floating], edges: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Triangles of height 1 [bands, bins] over bins of a spectrum, all in Hz."""
    widths = np.diff(edges)
    rising = (bins - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins) / widths[1:, None]
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None), dtype=np.float64)


def _kaldi_filters(config: FeatureConfig) -> Array:
    """Triangles of height 1, equally wide in mel and linear in mel; the last bin has no weight."""
    # Mel here is ln(1 + Hz / 700): a factor of it changes no triangle.
    highest = np.log1p((config.max_hz or config.sample_rate / 2) / 700)
    edges = np.linspace(0.0, highest, config.n_mels + 2)
    hertz = np.arange(config.n_fft // 2 + 1) * (config.sample_rate / config.n_fft)
    bins = np.log1p(hertz / 700)
    width = edges[1] - edges[0]
    rising = (bins[None] - edges[:-2, None]) / width
    falling = (edges[2:, None] - bins[None]) / width
    filters = np.clip(np.minimum(rising, falling), 0, None)
    filters[:, -1] = 0
    return np.asarray(filters, dtype=np.float32)


def stft_window(config: FeatureConfig) -> npt.NDArray[np.floating]:
    """Hann or Hamming window, centred in n_fft samples, in the precision of the transform.

    Float64, as the side lobes of a Hann window lie below the rounding noise of float32, which the
    log would amplify (0.3 in quiet bands); but float32 where the offset hides that noise.
    """
    length = config.window_samples or config.n_fft
    period = length - 1 if config.stft_window == "hann-symmetric" else length
    phase = 2 * np.pi * np.arange(length) / period
    low = 0.54 if config.stft_window == "hamming" else 0.5
    before = (config.n_fft - length) // 2
    window = low - (1 - low) * np.cos(phase)
    is_noise_hidden = config.power == 2 and config.log_offset >= HIDING_OFFSET
    return np.pad(window, (before, config.n_fft - length - before)).astype(
        np.float32 if is_noise_hidden else np.float64
    )


class LogMel:
    """Log-mel spectrogram of a stream of samples.

    `filters`: the mel filter bank [F, n_fft // 2 + 1], from `mel_filters` or a checkpoint.
    """

    def __init__(self, config: FeatureConfig, filters: Array) -> None:
        self.config = config
        self._filters = np.ascontiguousarray(filters.T)
        self._window = stft_window(config)
        self._offset = np.float32(config.log_offset)

    @property
    def sample_rate(self) -> int:
        """Of the samples that it takes, in Hz."""
        return self.config.sample_rate

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self.config.window_seconds

    def windows(self, blocks: Iterable[Array], size: int) -> Iterator[Windows]:
        """Blocks of samples → blocks of log-mel windows [n ≤ `size`, T, F], and their starts."""
        frame_seconds = self.config.hop / self.config.sample_rate
        for block, first_frames in window_blocks(self, blocks, size):
            yield block, (first_frames * frame_seconds).astype(np.float64)

    def frames(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """Blocks of samples → blocks of log-mel frames [n, F].

        Sounds shorter than `min_seconds` are padded with zeros to it.
        """
        rest = np.zeros(0, dtype=np.float32)
        samples = _emphasise(self._lengthen(blocks), self.config.pre_emphasis)
        for block in self._frame_with_edges(samples):
            chunks, rest = self._transform(np.concatenate([rest, block]))
            yield from chunks

    def _lengthen(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """The blocks, and zeros up to `min_seconds`."""
        count = 0
        for block in blocks:
            count += len(block)
            yield block
        missing = round(self.config.min_seconds * self.config.sample_rate) - count
        if missing > 0:
            yield np.zeros(missing, dtype=np.float32)

    def _frame_with_edges(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """The blocks between n_fft / 2 zeros, or between reflections of both ends.

        To have something to reflect, a shorter sound is padded with zeros to n_fft / 2 + 1.
        """
        half = self.config.n_fft // 2
        if self.config.edges == "zeros":
            edge = np.zeros(half, dtype=np.float32)
            yield edge
            yield from blocks
            yield edge
            return
        # The last samples are kept for the reflection.
        held = np.zeros(0, dtype=np.float32)
        at_start = True
        for block in blocks:
            held = np.concatenate([held, block])
            if at_start and len(held) > half:
                yield held[half:0:-1]
                at_start = False
            if not at_start and len(held) > half + 1:
                yield held[: -half - 1]
                held = held[-half - 1 :]
        if at_start:
            held = np.pad(held, (0, half + 1 - len(held)))
            yield held[half:0:-1]
        yield from (held, held[-2 : -half - 2 : -1])

    def _transform(self, samples: Array) -> tuple[list[Array], Array]:
        """(Chunks of the whole frames in `samples`, the samples that the next frame needs)."""
        size, hop = self.config.n_fft, self.config.hop
        if len(samples) < size:
            return [], samples
        framed = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        chunks = []
        for start in range(0, len(framed), CHUNK_FRAMES):
            spectrum = scipy.fft.rfft(framed[start : start + CHUNK_FRAMES] * self._window)
            is_power = self.config.power == 2
            energy = spectrum.real**2 + spectrum.imag**2 if is_power else np.abs(spectrum)
            chunks.append(np.log(energy.astype(np.float32) @ self._filters + self._offset))
        return chunks, samples[len(framed) * hop :].copy()

    def __call__(self, samples: Array) -> Array:
        """Samples [n] → log-mel frames [1 + n // hop, F] (after padding to `min_seconds`)."""
        if samples.ndim != 1 or not len(samples):
            raise InputError(f"samples: expected one dimension, not empty, got {samples.shape}")
        return np.concatenate(list(self.frames([samples])))


def _emphasise(blocks: Iterable[Array], share: float) -> Iterator[Array]:
    """Blocks of samples x → y[n] = x[n + 1] − share · x[n]; as they are when `share` is 0."""
    if not share:
        yield from blocks
        return
    last = np.zeros(0, dtype=np.float32)
    for block in blocks:
        joined = np.concatenate([last, block])
        if len(joined) > 1:
            yield joined[1:] - np.float32(share) * joined[:-1]
        last = joined[-1:]


def windows(
    frames: Iterable[Array], config: FeatureConfig
) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
    """Blocks of frames → blocks of non-overlapping windows for the encoder.

    Yields (windows [n, T, F], their first frames [n]). With `tail` "align", one more window aligned
    to the end covers the frames after the last whole window; with "drop" they are ignored. A sound
    shorter than one window is padded with silence. The aligned window comes in the last block: a
    batch is faster than single windows.
    """
    size = config.frames
    rest, start = np.zeros((0, config.n_mels), dtype=np.float32), 0
    latest: tuple[Array, npt.NDArray[np.int64]] | None = None
    for block in frames:
        rest = np.concatenate([rest, block])
        count = len(rest) // size
        if count:
            if latest is not None:
                yield latest
            whole = rest[: count * size].reshape(count, size, -1)
            latest = whole, start + size * np.arange(count, dtype=np.int64)
            rest, start = rest[count * size :], start + count * size
    if latest is None:
        silence = np.full((size - len(rest), config.n_mels), np.log(config.log_offset), np.float32)
        yield np.concatenate([rest, silence])[None], np.zeros(1, dtype=np.int64)
        return
    whole, first_frames = latest
    if len(rest) and config.tail == "align":
        aligned = np.concatenate([whole[-1], rest])[-size:]
        whole = np.concatenate([whole, aligned[None]])
        first_frames = np.append(first_frames, start + len(rest) - size)
    yield whole, first_frames


def window_blocks(
    log_mel: LogMel, samples: Iterable[Array], size: int
) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
    """Blocks of samples → blocks of windows [n, T, F], n ≤ `size`, and their first frames [n]."""
    for block, first_frames in windows(log_mel.frames(samples), log_mel.config):
        for start in range(0, len(block), size):
            yield block[start : start + size], first_frames[start : start + size]


def loudest_patch(log_mel: Array, size: int) -> int:
    """First frame of the `size`-frame patch with the largest sum of log energies: the paper's
    training patch (METHOD §1). Candidates start every 12 frames. log_mel: [n, F].
    """
    sums = np.concatenate([[0.0], np.cumsum(log_mel.sum(axis=1, dtype=np.float64))])
    starts = np.arange(0, max(1, len(log_mel) - size + 1), SEARCH_STEP)
    ends = np.minimum(starts + size, len(log_mel))
    return int(starts[np.argmax(sums[ends] - sums[starts])])
