"""Augmentation of log-mel windows: level, mixing, tilt, and masked frames and mel bands.

Log-mel is ln(x + offset): levels change x, not the offset that stands for silence.
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

MIX_DB = 15.0  # how much quieter the clip beneath may be
JOINS_DB = 6.0  # up to here it is heard well enough to be named


def at_level(log_mel: Tensor, nats: Tensor, offset: float) -> Tensor:
    """Log-mel of the same sound louder by `nats`, of any shape that fits."""
    return torch.log((torch.exp(log_mel) - offset).clamp(min=0) * torch.exp(nats) + offset)


def mixed(log_mel: Tensor, other: Tensor, nats: Tensor, offset: float) -> Tensor:
    """Log-mel of two sounds at once, the other one louder by `nats`."""
    beneath = (torch.exp(other) - offset).clamp(min=0) * torch.exp(nats)
    return torch.log(torch.exp(log_mel) + beneath)


@dataclass(frozen=True)
class Mixing:
    """Which rows of a batch are heard with which other row [n], and by how many dB louder [n]."""

    rows: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]
    decibels: npt.NDArray[np.float32]

    @staticmethod
    def draw(count: int, share: float, generator: np.random.Generator) -> Mixing:
        """Draw for `count` rows; none for a share of 0."""
        if not share:
            none = np.zeros(0, np.int64)
            return Mixing(none, none, np.zeros(0, np.float32))
        rows = np.flatnonzero(generator.random(count) < share)
        others = generator.integers(0, count, len(rows))
        decibels = generator.uniform(-MIX_DB, 0, len(rows)).astype(np.float32)
        return Mixing(rows, others, decibels)

    @property
    def joins(self) -> npt.NDArray[np.bool_]:
        """[n], True where the other one is nearly as loud."""
        return self.decibels > -JOINS_DB


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for a batch: `gain` [B] in nats, `tilt` [B] in nats at the edges of the
    mels, and first and end [B, 2] of what is masked, by axis (1 = frames, 2 = mels). `floor`:
    the log-mel value of silence.
    """

    gain: npt.NDArray[np.float32] | None
    tilt: npt.NDArray[np.float32] | None
    masks: dict[int, npt.NDArray[np.int64]]
    floor: float

    @staticmethod
    def draw(
        count: int, recipe: Recipe, config: FeatureConfig, generator: np.random.Generator
    ) -> Augmentation:
        """Draw for `count` windows; nothing where the recipe wants nothing."""
        gain = None
        if recipe.gain:
            gain = generator.uniform(-recipe.gain, recipe.gain, count).astype(np.float32)
        if recipe.quieter:
            lower = generator.uniform(-recipe.quieter, 0, count).astype(np.float32)
            gain = lower if gain is None else gain + lower
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
        """Those `rows` of what was drawn on their windows [B, T, F]."""
        device = log_mel.device
        if self.gain is not None or self.tilt is not None:
            log_mel = at_level(log_mel, self._change(log_mel, rows), math.exp(self.floor))
        for axis, drawn in self.masks.items():
            edges = torch.from_numpy(drawn[rows]).to(device, non_blocking=True)
            place = torch.arange(log_mel.shape[axis], device=device)
            masked = (place >= edges[:, :1]) & (place < edges[:, 1:])
            log_mel = log_mel.masked_fill(masked.unsqueeze(3 - axis), self.floor)
        return log_mel

    def _change(self, log_mel: Tensor, rows: slice) -> Tensor:
        """By how many nats the bands of windows [B, T, F] become louder, [B, 1, F]."""
        change = torch.zeros(len(log_mel), 1, log_mel.shape[2], device=log_mel.device)
        if self.gain is not None:
            gain = torch.from_numpy(self.gain[rows]).to(log_mel.device, non_blocking=True)
            change = change + gain[:, None, None]
        if self.tilt is not None:
            tilt = torch.from_numpy(self.tilt[rows]).to(log_mel.device, non_blocking=True)
            slope = torch.linspace(-1, 1, log_mel.shape[2], device=log_mel.device)
            change = change + tilt[:, None, None] * slope
        return change
