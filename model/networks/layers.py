"""Dropout that draws fast on the CPU.

torch draws one Bernoulli value after another on one thread there, which is a third of a training
step; sixteen random bits a value, drawn as a block, take a tenth of that.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.core.errors import ConfigError

BITS = 16


class Dropout(nn.Module):
    """`torch.nn.Dropout`, to 2^-16 in its probability; torch's generator seeds the draw.

    Raises ConfigError for a share outside [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ConfigError(f"dropout: expected a share from 0 to under 1, got {p}")
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: any shape; the same shape, some values 0, the others scaled by 1/(1 − p)."""
        if not self.training or not self.p:
            return inputs
        if inputs.device.type != "cpu":
            return functional.dropout(inputs, self.p)
        return inputs * _draw(inputs, self.p)

    def extra_repr(self) -> str:
        """Shown when a model is printed."""
        return f"p={self.p}"


def _draw(like: Tensor, p: float) -> Tensor:
    """0 with probability p, else 1/(1 − p), in the shape, type and strides of `like`."""
    seed = int(torch.randint(2**62, (1,)))
    values = like.numel()
    raw = np.random.SFC64(seed).random_raw(-(-values * BITS // 64))
    bits = torch.from_numpy(raw.view(np.int16)[:values])
    dropped = min(round(p * 2**BITS), 2**BITS - 1)  # of 2^16 values; all would not fit 16 bits
    kept = bits >= dropped - 2 ** (BITS - 1)
    scale = kept.to(like.dtype).mul_(1 / (1 - p))
    drawn: Tensor = scale.as_strided(like.shape, torch.empty_like(like).stride())
    return drawn


def perceptron(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """[B, inputs] → [B, outputs]; LayerNorm, GELU and dropout after each hidden layer."""
    layers: list[nn.Module] = []
    for width in (inputs, hidden):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.GELU(), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))
