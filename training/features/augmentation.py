"""Augmentation of log-mel windows: level, mixing, tilt, and masks over frames and mels.

Log-mel is ln(x + offset). Augmentation changes the power x, not the offset that stands for silence.
Letters: n = mixed windows, B = batch, T = frames, F = mels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.config import FeatureConfig
from earmark.training.recipe import Recipe

MIX_DB = 15.0  # the mixed-in clip is at most this much quieter
SAME_LEVEL_DB = 6.0  # up to here its tags are added: it is heard well enough


def change_level(log_mel: Tensor, nats: Tensor, offset: float) -> Tensor:
    """Log-mel of the same sound made louder by `nats`, which broadcasts to its shape."""
    return torch.log((torch.exp(log_mel) - offset).clamp(min=0) * torch.exp(nats) + offset)


def mix_log_mel(log_mel: Tensor, other: Tensor, nats: Tensor, offset: float) -> Tensor:
    """Log-mel of two sounds at once, the other one made louder by `nats`."""
    other_power = (torch.exp(other) - offset).clamp(min=0) * torch.exp(nats)
    return torch.log(torch.exp(log_mel) + other_power)


@dataclass(frozen=True)
class Mixing:
    """Rows of a batch that are mixed, the rows mixed into them, and those rows' level, all [n].

    `decibels` is relative to full level and at most 0.
    """

    rows: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    decibels: npt.NDArray[np.float32]

    @staticmethod
    def draw(count: int, share: float, generator: np.random.Generator) -> Mixing:
        """Draw a share of `count` rows; a share of 0 draws nothing from the generator."""
        if not share:
            empty = np.zeros(0, np.int64)
            return Mixing(empty, empty, np.zeros(0, np.float32))
        rows = np.flatnonzero(generator.random(count) < share)
        others = generator.integers(0, count, len(rows))
        decibels = generator.uniform(-MIX_DB, 0, len(rows)).astype(np.float32)
        return Mixing(rows, others, decibels)

    @property
    def adds_tags(self) -> npt.NDArray[np.bool_]:
        """[n], True where the mixed-in clip is nearly as loud, so its tags are added."""
        return self.decibels > -SAME_LEVEL_DB


@dataclass(frozen=True)
class Augmentation:
    """A batch's random gain, tilt and masks.

    `gain` [B]: nats; `tilt` [B]: nats at the edges of the mels; `masks`: by axis (1 = frames,
    2 = mels) the first and end of what is masked [B, 2]; `floor`: the log-mel value of silence.
    """

    gain: npt.NDArray[np.float32] | None
    tilt: npt.NDArray[np.float32] | None
    masks: dict[int, npt.NDArray[np.int64]]
    floor: float

    @staticmethod
    def draw(
        count: int, recipe: Recipe, config: FeatureConfig, generator: np.random.Generator
    ) -> Augmentation:
        """Draw for `count` windows; a plain recipe draws nothing from the generator."""
        gain = None
        if recipe.gain:
            gain = generator.uniform(-recipe.gain, recipe.gain, count).astype(np.float32)
        if recipe.quieter:
            quieter = generator.uniform(-recipe.quieter, 0, count).astype(np.float32)
            gain = quieter if gain is None else gain + quieter
        tilt = None
        if recipe.tilt:
            tilt = generator.normal(0, recipe.tilt, count).astype(np.float32)
        masks = {}
        sizes = (config.frames, config.n_mels)
        for axis, widest in enumerate((recipe.mask_frames, recipe.mask_mels), start=1):
            if widest:
                widths = generator.integers(0, min(widest, sizes[axis - 1]) + 1, count)
                first = generator.integers(0, sizes[axis - 1] - widths + 1)
                masks[axis] = np.stack([first, first + widths], axis=1)
        return Augmentation(gain, tilt, masks, math.log(config.log_offset))

    def apply(self, log_mel: Tensor, rows: slice) -> Tensor:
        """Augment windows [B, T, F] with the draws of those `rows`."""
        device = log_mel.device
        if self.gain is not None or self.tilt is not None:
            log_mel = change_level(log_mel, self._band_nats(log_mel, rows), math.exp(self.floor))
        for axis, mask in self.masks.items():
            edges = torch.from_numpy(mask[rows]).to(device, non_blocking=True)
            position = torch.arange(log_mel.shape[axis], device=device)
            masked = (position >= edges[:, :1]) & (position < edges[:, 1:])
            log_mel = log_mel.masked_fill(masked.unsqueeze(3 - axis), self.floor)
        return log_mel

    def _band_nats(self, log_mel: Tensor, rows: slice) -> Tensor:
        """By how many nats each band becomes louder, [B, 1, F]."""
        nats = torch.zeros(len(log_mel), 1, log_mel.shape[2], device=log_mel.device)
        if self.gain is not None:
            gain = torch.from_numpy(self.gain[rows]).to(log_mel.device, non_blocking=True)
            nats = nats + gain[:, None, None]
        if self.tilt is not None:
            tilt = torch.from_numpy(self.tilt[rows]).to(log_mel.device, non_blocking=True)
            slope = torch.linspace(-1, 1, log_mel.shape[2], device=log_mel.device)
            nats = nats + tilt[:, None, None] * slope
        return nats
