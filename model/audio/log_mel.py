"""Samples → log-mel frames → windows (paper §3.1, METHOD §1).

Frame i is centred on sample i · hop; n samples give 1 + n // hop frames. Unless configured
otherwise: magnitudes (power 1), Slaney-normalised mel bands, natural log of (x + 2^-23). Nothing is
random, and blocks of any size give the same frames as the whole sound. Axes: T = frames of a
window, F = mels, n = samples, frames or windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft

from earmark.model.config import FeatureConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError

SEARCH_STEP = 12  # frames between candidates for the loudest patch
CHUNK_FRAMES = 4_096  # STFT frames computed at once: bounds memory


def mel_filters(config: FeatureConfig) -> Array:
    """librosa's mel filter bank, [F, n_fft // 2 + 1], 0 Hz to half the rate."""
    import librosa.filters

    htk = config.mel_scale == "htk"
    filters = librosa.filters.mel(
        sr=config.sample_rate,
        n_fft=config.n_fft,
        n_mels=config.n_mels,
        norm=1 if htk else "slaney",
        htk=htk,
    )
    return np.asarray(filters, dtype=np.float32)


def _stft_window(config: FeatureConfig) -> npt.NDArray[np.float64]:
    """Periodic Hann or Hamming window of n_fft samples.

    In float64, like the transform: the side lobes of a Hann window lie below the rounding noise
    of float32, which the log would amplify (0.3 in quiet bands).
    """
    phase = 2 * np.pi * np.arange(config.n_fft) / config.n_fft
    low = {"hann": 0.5, "hamming": 0.54}[config.stft_window]
    return low - (1 - low) * np.cos(phase)


class LogMel:
    """Log-mel spectrogram of a stream of samples.

    `filters`: the mel filter bank [F, n_fft // 2 + 1], from `mel_filters` or a checkpoint.
    """

    def __init__(self, config: FeatureConfig, filters: Array) -> None:
        self.config = config
        self._filters = np.ascontiguousarray(filters.T)
        self._window = _stft_window(config)
        self._offset = np.float32(config.log_offset)

    def frames(self, blocks: Iterable[Array]) -> Iterator[Array]:
        """Blocks of samples → blocks of log-mel frames [n, F].

        Sounds shorter than `min_seconds` are padded with zeros to it.
        """
        config = self.config
        edge = np.zeros(config.n_fft // 2, dtype=np.float32)
        rest, count = edge, 0
        for block in blocks:
            count += len(block)
            rest = np.concatenate([rest, block])
            chunks, rest = self._transform(rest)
            yield from chunks
        missing = max(0, round(config.min_seconds * config.sample_rate) - count)
        padding = np.zeros(missing, dtype=np.float32)
        chunks, _ = self._transform(np.concatenate([rest, padding, edge]))
        yield from chunks

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
