"""What CLAP hears with: windows that overlap, as log-mel spectrograms in decibels.

Features are those of Hugging Face's `ClapFeatureExtractor` for each window, as if it were a sound
of its own. Where that cuts a long sound at random, a sound here is heard whole: windows start
every half window, and one more is aligned to the end. Imports no torch. Axes: n = windows or
samples, T = frames of a window, F = mels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.fft

from earmark.model.audio.decode import MAX_RATE, MIN_RATE
from earmark.model.audio.log_mel import mel_edges, mel_triangles
from earmark.model.core.arrays import Array
from earmark.model.core.errors import CheckpointError
from earmark.model.front_end import Windows

VERSION = 1  # of the windows and their features: part of the model's fingerprint
WINDOWS_IN_STEP = 2  # hops in a window
FLOOR = 1e-10  # the least power of a band
MAX_QUOTED = 60  # letters of a value in a message
PADDINGS = ("repeatpad", "repeat", "pad")
TRUNCATIONS = ("rand_trunc", "fusion")

# `ClapFeatureExtractor`'s own values, where a folder does not state them.
DEFAULTS: dict[str, Any] = {
    "feature_size": 64,
    "sampling_rate": 48_000,
    "hop_length": 480,
    "max_length_s": 10,
    "fft_window_size": 1_024,
    "frequency_min": 0,
    "frequency_max": 14_000,
    "truncation": "fusion",
    "padding": "repeatpad",
}
# (least, most) of what is a number. They bound memory.
LIMITS: dict[str, tuple[int, int]] = {
    "feature_size": (1, 1_024),
    "sampling_rate": (MIN_RATE, MAX_RATE),
    "hop_length": (1, 65_536),
    "max_length_s": (1, 600),
    "fft_window_size": (2, 65_536),
    "frequency_min": (0, MAX_RATE),
    "frequency_max": (1, MAX_RATE),
}


@dataclass(frozen=True)
class ClapFrontEnd:
    """Samples → log-mel windows. `hop`: samples between frames; `size`: samples of a window;
    `lowest`, `highest`: Hz; `padding`: what fills a window of a shorter sound; `fused`: whether
    the bank of filters is that of models which fuse pieces of long sounds (HTK's), or Slaney's."""

    sample_rate: int
    size: int
    n_fft: int
    hop: int
    n_mels: int
    lowest: float
    highest: float
    padding: str
    fused: bool

    @classmethod
    def from_config(cls, stated: Mapping[str, Any]) -> ClapFrontEnd:
        """Of a `preprocessor_config.json`. Raises CheckpointError."""
        values = {name: stated.get(name, default) for name, default in DEFAULTS.items()}
        for name, choices in (("padding", PADDINGS), ("truncation", TRUNCATIONS)):
            if values[name] not in choices:
                raise CheckpointError(
                    f"preprocessor_config.json: {name}: expected {', '.join(choices)}, "
                    f"got {values[name]!r}"
                )
        for name, (low, high) in LIMITS.items():
            value = values[name]
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:  # NaN too
                raise CheckpointError(
                    f"preprocessor_config.json: {name}: expected a number from {low} to {high}, "
                    f"got {repr(value)[:MAX_QUOTED]}"
                )
        rate, n_fft = int(values["sampling_rate"]), int(values["fft_window_size"])
        size = int(values["max_length_s"] * rate)
        if size <= n_fft or values["frequency_min"] >= values["frequency_max"]:
            raise CheckpointError(
                "preprocessor_config.json: expected fft_window_size within max_length_s, and "
                "frequency_min below frequency_max"
            )
        return cls(
            rate,
            size,
            n_fft,
            int(values["hop_length"]),
            int(values["feature_size"]),
            float(values["frequency_min"]),
            float(values["frequency_max"]),
            str(values["padding"]),
            values["truncation"] == "fusion",
        )

    @property
    def window_seconds(self) -> float:
        """Length of a window."""
        return self.size / self.sample_rate

    @property
    def step_samples(self) -> int:
        """Samples between the starts of windows."""
        return self.size // WINDOWS_IN_STEP

    def windows(self, blocks: Iterable[Array], size: int) -> Iterator[Windows]:
        """Blocks of samples → blocks of log-mel windows [n ≤ `size`, T, F], and their starts."""
        features: list[Array] = []
        starts: list[float] = []
        for samples, first in self._cut(blocks):
            features.append(self.log_mel(samples))
            starts.append(first / self.sample_rate)
            if len(features) == size:
                yield np.stack(features), np.array(starts)
                features, starts = [], []
        if features:
            yield np.stack(features), np.array(starts)

    def _cut(self, blocks: Iterable[Array]) -> Iterator[tuple[Array, int]]:
        """Windows of samples [size] and their first samples."""
        held: list[Array] = []  # from `begin` to `end`: the latest window and what follows it
        begin = end = following = 0
        for block in blocks:
            held.append(block)
            end += len(block)
            if end < following + self.size:
                continue
            samples = np.concatenate(held)
            while end >= following + self.size:
                samples, begin = samples[following - begin :], following
                yield samples[: self.size], begin
                following += self.step_samples
            held = [samples.copy()]  # a view would keep what came before
        samples = np.concatenate([*held, np.zeros(0, dtype=np.float32)])
        if not following:
            yield self._fill(samples), 0
        elif end > begin + self.size:
            yield samples[-self.size :], end - self.size

    def _fill(self, samples: Array) -> Array:
        """A window [size] of a shorter sound."""
        if self.padding != "pad" and len(samples):
            whole = self.size // len(samples)
            samples = np.tile(samples, whole + (self.padding == "repeat"))[: self.size]
        return np.pad(samples, (0, self.size - len(samples)))

    @cached_property
    def _window(self) -> npt.NDArray[np.float64]:
        """Hann's, in float64: its side lobes lie below the rounding noise of float32."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.n_fft) / self.n_fft)

    @cached_property
    def _filters(self) -> npt.NDArray[np.float64]:
        """The bank of filters [n_fft // 2 + 1, F]."""
        scale = "htk" if self.fused else "slaney"
        edges = mel_edges(scale, self.lowest, self.highest, self.n_mels)
        bins = np.linspace(0, self.sample_rate // 2, self.n_fft // 2 + 1)
        filters = mel_triangles(bins, edges)
        if not self.fused:
            filters *= (2 / (edges[2:] - edges[:-2]))[:, None]  # of the area 1 in Hz
        return np.ascontiguousarray(filters.T)

    def log_mel(self, samples: Array) -> Array:
        """A window's samples [size] → log-mel frames [T, F] in decibels."""
        padded = np.pad(samples.astype(np.float64), self.n_fft // 2, mode="reflect")
        framed = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop]
        spectrum = scipy.fft.rfft(framed * self._window)
        power = spectrum.real**2 + spectrum.imag**2
        return (10 * np.log10(np.maximum(power @ self._filters, FLOOR))).astype(np.float32)
