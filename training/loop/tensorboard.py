"""TensorBoard: losses and figures, spectrograms beside their reconstructions, the tags' space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.core.errors import ConfigError

PICTURES = 8  # patches in a picture of reconstructions


class Board:
    """Event files in one folder; `epoch`: where a resumed run goes on."""

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "--tensorboard: needs the package tensorboard (earmark[research])"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=epoch + 1)

    def scalars(self, epoch: int, figures: Mapping[str, float]) -> None:
        """Losses and figures of an epoch."""
        for name, value in figures.items():
            side, _, rest = name.partition("_")
            tag = f"{side}/{rest}" if side in ("train", "validation") else name
            self._writer.add_scalar(tag, value, epoch)
        self._writer.flush()

    def reconstructions(self, epoch: int, patches: Tensor, estimates: Tensor) -> None:
        """Patches [B, 1, T, F] in [0, 1] over what d_a makes of them; time to the right."""
        pairs = [part[:PICTURES, 0].float().cpu().clamp(0, 1) for part in (patches, estimates)]
        rows = [torch.cat([patch.T.flip(0) for patch in part], dim=1) for part in pairs]
        self._writer.add_image("reconstruction", torch.cat(rows, dim=0)[None], epoch)

    def tags(self, epoch: int, names: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
        """φ_w [C, D] of single tags, for the embedding projector; nothing where there are none."""
        if names:
            self._writer.add_embedding(vectors, list(names), global_step=epoch)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
