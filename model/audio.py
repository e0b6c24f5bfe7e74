"""The audio autoencoder: e_a with its projection FNN_c-a, and d_a (paper §2.1, eq. (5)).

Letters: B = batch, T = frames, F = mels, V = audio code, D = shared dimension.
A patch is [B, 1, T, F], scaled to about [0, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.dropout import Dropout


class AudioEncoder(nn.Module):
    """e_a: five stride-2 convolutions to the code z_a, then FNN_c-a to the shared space."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        audio = config.audio
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((1, *audio.channels)):
            layers += [
                nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                Dropout(audio.dropout),
            ]
        self.convolutions = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(config.code_dim, eps=1e-6) if audio.layer_norm else nn.Identity()
        self.projection = nn.Linear(config.code_dim, config.dim, bias=False)
        self.dropout = Dropout(audio.dropout)

    def encode(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, T, F] → codes z_a [B, V]."""
        code: Tensor = self.norm(torch.flatten(self.convolutions(patches), start_dim=1))
        return code

    def project(self, codes: Tensor) -> Tensor:
        """Codes z_a [B, V] → φ_a [B, D] (eq. (5)); linear, so it commutes with the mean."""
        projected: Tensor = self.dropout(self.projection(codes))
        return projected

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches [B, 1, T, F] → (z_a [B, V], φ_a [B, D])."""
        codes = self.encode(patches)
        return codes, self.project(codes)


class AudioDecoder(nn.Module):
    """d_a: the code z_a back to a patch; the last stage goes BatchNorm → sigmoid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.code_shape = config.code_shape
        layers: list[nn.Module] = []
        stages = list(pairwise((*reversed(config.audio.channels), 1)))
        for number, (inputs, outputs) in enumerate(stages):
            last = number == len(stages) - 1
            if not last:
                layers.append(Dropout(config.audio.dropout))
            layers += [
                nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.Sigmoid() if last else nn.ReLU(),
            ]
        self.deconvolutions = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes z_a [B, V] → reconstructed patches [B, 1, T, F] in (0, 1)."""
        patches: Tensor = self.deconvolutions(codes.reshape(-1, *self.code_shape))
        return patches
