"""Augmentation of log-mel windows: gain, and masked stretches of frames and of mel bands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.config import FeatureConfig
from training.recipe import Recipe


@dataclass(frozen=True)
class Augmentation:
    """What was drawn for a batch: `gain` [B] in nats, and first and end [B, 2] of what is
    masked, by axis (1 = frames, 2 = mels). `floor`: the log-mel value of silence.
    """

    gain: npt.NDArray[np.float32] | None
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
        masks = {}
        sizes = (config.frames, config.n_mels)
        for axis, widest in enumerate((recipe.mask_frames, recipe.mask_mels), start=1):
            if widest:
                widths = generator.integers(0, min(widest, sizes[axis - 1]) + 1, count)
                first = generator.integers(0, sizes[axis - 1] - widths + 1)
                masks[axis] = np.stack([first, first + widths], axis=1)
        return Augmentation(gain, masks, math.log(config.log_offset))

    def apply(self, log_mel: Tensor, rows: slice) -> Tensor:
        """Those `rows` of what was drawn on their windows [B, T, F]."""
        device = log_mel.device
        if self.gain is not None:
            gain = torch.from_numpy(self.gain[rows]).to(device, non_blocking=True)
            log_mel = (log_mel + gain[:, None, None]).clamp(min=self.floor)
        for axis, drawn in self.masks.items():
            edges = torch.from_numpy(drawn[rows]).to(device, non_blocking=True)
            place = torch.arange(log_mel.shape[axis], device=device)
            masked = (place >= edges[:, :1]) & (place < edges[:, 1:])
            log_mel = log_mel.masked_fill(masked.unsqueeze(3 - axis), self.floor)
        return log_mel
