"""A perceptron of two hidden layers, for projections that one linear layer is too little for."""

from __future__ import annotations

from torch import nn

from model.dropout import Dropout


def perceptron(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """[B, inputs] → [B, outputs]; LayerNorm, GELU and dropout after each hidden layer."""
    layers: list[nn.Module] = []
    for width in (inputs, hidden):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.GELU(), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden, outputs))
