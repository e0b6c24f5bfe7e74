"""Word vectors → the shared space, by what is nearest among learned prototypes.

    φ = Σ_m softmax_m(k_m · e_w) v_m + perceptron(e_w)

A prototype is a key k_m among word vectors and a value v_m in the shared space: with a name of a
teacher's class for a key and the class's direction for a value, a phrase is what the names that
mean the same are. Axes: N = words, F_w = word dimension, D = shared dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earmark.model.networks.layers import Dropout


class Prototypes(nn.Module):
    """`count` prototypes and a perceptron of one hidden layer, which begins at zero."""

    def __init__(self, inputs: int, count: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.keys = nn.Linear(inputs, count, bias=False)
        self.values = nn.Linear(count, outputs, bias=False)
        last = nn.Linear(hidden, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.perceptron = nn.Sequential(
            nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), Dropout(dropout), last
        )

    def forward(self, words: Tensor) -> Tensor:
        """Word vectors [..., F_w] → [..., D]."""
        nearest = torch.softmax(self.keys(words), dim=-1)
        phi: Tensor = self.values(nearest) + self.perceptron(words)
        return phi
