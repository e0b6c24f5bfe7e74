"""Layers that the encoders share: a perceptron, and a dropout that is fast on the CPU.

On the CPU, torch draws Bernoulli values one by one on one thread, a third of a training step;
drawing 16 random bits per value in one block takes a tenth of that.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.core.errors import ConfigError

BITS = 16


class Dropout(nn.Module):
    """`torch.nn.Dropout` with its probability rounded to 2^-16; torch's generator seeds it.

    Raises ConfigError for a probability outside [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ConfigError(f"dropout: expected a probability in [0, 1), got {p}")
        self.p = p

    def forward(self, inputs: Tensor) -> Tensor:
        """Any shape → the same shape, with some values 0 and the others scaled by 1/(1 − p)."""
        if not self.training or not self.p:
            return inputs
        if inputs.device.type != "cpu":
            return functional.dropout(inputs, self.p)
        return inputs * _mask(inputs, self.p)

    def extra_repr(self) -> str:
        """The arguments, for a printed model."""
        return f"p={self.p}"


def _mask(like: Tensor, p: float) -> Tensor:
    """Random 0 (probability p) or 1/(1 − p), with the shape, type and strides of `like`."""
    seed = int(torch.randint(2**62, (1,)))
    values = like.numel()
    raw = np.random.SFC64(seed).random_raw(-(-values * BITS // 64))
    bits = torch.from_numpy(raw.view(np.int16)[:values])
    dropped = min(round(p * 2**BITS), 2**BITS - 1)  # of 2^16; all do not fit 16 bits
    is_retained = bits >= dropped - 2 ** (BITS - 1)
    scale = is_retained.to(like.dtype).mul_(1 / (1 - p))
    mask: Tensor = scale.as_strided(like.shape, torch.empty_like(like).stride())
    return mask


def perceptron(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two hidden layers, [B, inputs] → [B, outputs]; LayerNorm, GELU and dropout after each."""
    layers: list[nn.Module] = []
    for width in (inputs, hidden):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.GELU(), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))
