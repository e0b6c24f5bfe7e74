"""Samples → log-mel frames → windows (paper §3.1, METHOD §1).

Conventions: T = frames, F = mel bands; frame i is centred on sample i · hop; n samples give
1 + n // hop frames; magnitudes (power 1), Slaney-normalised mel bands, natural log of
(x + 2^-23), unless configured otherwise. Nothing here is random: the same samples always give
the same numbers, and feeding them in blocks of any size gives the same as feeding them at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import scipy.fft

from earmark.model.config import FeatureConfig
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError

SEARCH_STEP = 12  # frames between the candidates of the paper's loudest patch
CHUNK_FRAMES = 4_096  # most STFT frames computed at once: bounds memory


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

    In float64, and so is the transform: a Hann window's side lobes fall below the rounding
    noise of float32, and the log makes that noise visible (0.3 in quiet bands).
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
        rest, heard = edge, 0
        for block in blocks:
            heard += len(block)
            rest = np.concatenate([rest, block])
            done, rest = self._transform(rest)
            yield from done
        missing = max(0, round(config.min_seconds * config.sample_rate) - heard)
        done, _ = self._transform(np.concatenate([rest, np.zeros(missing, dtype=np.float32), edge]))
        yield from done

    def _transform(self, samples: Array) -> tuple[list[Array], Array]:
        """All whole frames in `samples`, and the samples still needed by the next one."""
        size, hop = self.config.n_fft, self.config.hop
        if len(samples) < size:
            return [], samples
        framed = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
        done = []
        for start in range(0, len(framed), CHUNK_FRAMES):
            spectrum = scipy.fft.rfft(framed[start : start + CHUNK_FRAMES] * self._window)
            squared = self.config.power == 2
            strength = spectrum.real**2 + spectrum.imag**2 if squared else np.abs(spectrum)
            done.append(np.log(strength.astype(np.float32) @ self._filters + self._offset))
        return done, samples[len(framed) * hop :].copy()

    def __call__(self, samples: Array) -> Array:
        """Samples [n] → log-mel frames [1 + n // hop, F] (after padding to `min_seconds`)."""
        if samples.ndim != 1 or not len(samples):
            raise InputError(f"samples: expected one dimension, not empty, got {samples.shape}")
        return np.concatenate(list(self.frames([samples])))


def windows(
    frames: Iterable[Array], config: FeatureConfig
) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
    """Blocks of frames → blocks of non-overlapping windows for the encoder.

    Yields (windows [n, T, F], first frame of each [n]). With `tail` "align", frames left
    over after the last whole window are covered by one more window aligned to the end; with
    "drop" they are ignored. A sound of less than one window is padded with silence. The last
    window comes with those before it, which the encoder takes sooner than one by one.
    """
    size = config.frames
    held, start = np.zeros((0, config.n_mels), dtype=np.float32), 0
    latest: tuple[Array, npt.NDArray[np.int64]] | None = None
    for block in frames:
        held = np.concatenate([held, block])
        count = len(held) // size
        if count:
            if latest is not None:
                yield latest
            whole = held[: count * size].reshape(count, size, -1)
            latest = whole, start + size * np.arange(count, dtype=np.int64)
            held, start = held[count * size :], start + count * size
    if latest is None:
        silence = np.full((size - len(held), config.n_mels), np.log(config.log_offset), np.float32)
        yield np.concatenate([held, silence])[None], np.zeros(1, dtype=np.int64)
        return
    whole, first = latest
    if len(held) and config.tail == "align":
        aligned = np.concatenate([whole[-1], held])[-size:]
        whole = np.concatenate([whole, aligned[None]])
        first = np.append(first, start + len(held) - size)
    yield whole, first


def window_blocks(
    log_mel: LogMel, samples: Iterable[Array], size: int
) -> Iterator[tuple[Array, npt.NDArray[np.int64]]]:
    """Blocks of samples → blocks of windows [n, T, F], n ≤ `size`, and their first frames [n]."""
    for block, first_frames in windows(log_mel.frames(samples), log_mel.config):
        for start in range(0, len(block), size):
            yield block[start : start + size], first_frames[start : start + size]


def loudest_patch(log_mel: Array, size: int) -> int:
    """First frame of the `size`-frame patch with the largest sum of log energies.

    Candidates start every 12 frames (METHOD §1: the paper's training patch). log_mel: [n, F].
    """
    sums = np.concatenate([[0.0], np.cumsum(log_mel.sum(axis=1, dtype=np.float64))])
    starts = np.arange(0, max(1, len(log_mel) - size + 1), SEARCH_STEP)
    ends = np.minimum(starts + size, len(log_mel))
    return int(starts[np.argmax(sums[ends] - sums[starts])])
