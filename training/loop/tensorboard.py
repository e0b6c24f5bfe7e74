"""TensorBoard: losses and metrics, spectrograms over their reconstructions, tag embeddings.

Letters: B = batch, T = frames, F = mels, C = tags, D = shared dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.core.errors import ConfigError

MAX_PATCHES = 8  # in an image of reconstructions


class TensorBoardWriter:
    """Writes event files to one folder; `epoch`: the last one that a resumed run keeps."""

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "--tensorboard: needs the package tensorboard (earmark[research])"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def write_scalars(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write an epoch's losses and metrics: "train_loss" under the tag "train/loss"."""
        for name, value in metrics.items():
            side, _, rest = name.partition("_")
            tag = f"{side}/{rest}" if side in ("train", "validation") else name
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def write_reconstructions(self, epoch: int, patches: Tensor, estimates: Tensor) -> None:
        """Write patches [B, 1, T, F] in [0, 1] over their reconstructions; time goes right."""
        sides = [side[:MAX_PATCHES, 0].float().cpu().clamp(0, 1) for side in (patches, estimates)]
        rows = [torch.cat([patch.T.flip(0) for patch in side], dim=1) for side in sides]
        self._writer.add_image("reconstruction", torch.cat(rows, dim=0)[None], epoch)

    def write_tag_embeddings(
        self, epoch: int, tags: Sequence[str], vectors: npt.NDArray[np.float32]
    ) -> None:
        """Write φ_w [C, D] of single tags for the embedding projector; nothing without tags."""
        if tags:
            self._writer.add_embedding(vectors, list(tags), global_step=epoch)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()
