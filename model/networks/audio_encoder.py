"""The audio encoders e_a with their projection FNN_c-a, and the decoder d_a (paper §2.1, eq. (5)).

Axes: B = batch, T = frames, F = mels, V = audio code, D = shared dimension. Patches are log-mel
windows [B, 1, T, F], scaled to about [0, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earmark.model.config import ModelConfig
from earmark.model.networks.layers import Dropout, perceptron
from earmark.model.networks.mobilenet import MobileNet


class AudioEncoder(nn.Module):
    """e_a: convolutions give the code z_a, FNN_c-a projects it to the shared space. `width`: V."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        audio = config.audio
        self.kind = audio.kind
        self.width = config.code_dim
        self.steps = config.window_steps
        self.convolutions = _convolutions(config)
        self.norm = nn.LayerNorm(config.code_dim, eps=1e-6) if audio.layer_norm else nn.Identity()
        self.projection = _projection(config)
        self.dropout = Dropout(
            0.0 if audio.hidden else audio.dropout
        )  # a perceptron has dropout inside

    def encode(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, T, F] → codes z_a [B, V]."""
        maps = self.convolutions(patches)
        if self.kind == "pooled":  # mean over mels, then max pooling over time
            maps = maps.mean(dim=3).amax(dim=2)
        elif self.kind == "mobilenet":
            maps = maps.mean(dim=(2, 3))
        code: Tensor = self.norm(torch.flatten(maps, start_dim=1))
        return code

    def encode_steps(self, patches: Tensor) -> Tensor:
        """Patches [B, 1, T, F] → codes [B, S, V] of S equal steps of time.

        They are those of the frames of the last map; a MobileNet's code z_a is their mean. A
        strided encoder's code has the whole window in it: each of its quarters gets that code.
        """
        if self.kind == "strided":
            return self.encode(patches)[:, None].expand(-1, self.steps, -1)
        maps: Tensor = self.convolutions(patches)
        codes: Tensor = self.norm(maps.mean(dim=3).transpose(1, 2))
        return codes

    def project(self, codes: Tensor) -> Tensor:
        """Codes z_a [B, V] → φ_a [B, D] (eq. (5))."""
        projected: Tensor = self.dropout(self.projection(codes))
        return projected

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches [B, 1, T, F] → (z_a [B, V], φ_a [B, D])."""
        codes = self.encode(patches)
        return codes, self.project(codes)

    def fuse(self) -> None:
        """Fold each BatchNorm into its convolution: the same outputs, faster. For inference."""
        if isinstance(self.convolutions, MobileNet):
            self.convolutions.fuse()
        layers = list(self.convolutions)
        for index, (layer, following) in enumerate(pairwise(layers)):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                self.convolutions[index] = fuse_conv_bn_eval(layer, following)
                self.convolutions[index + 1] = nn.Identity()


def _convolutions(config: ModelConfig) -> nn.Sequential:
    """The layers of the encoder's kind, [B, 1, T, F] → maps [B, C, T', F']."""
    match config.audio.kind:
        case "strided":
            return _strided(config)
        case "pooled":
            return _pooled(config)
        case "mobilenet":
            return MobileNet(config.audio.width)


def _strided(config: ModelConfig) -> nn.Sequential:
    """The paper's convolutions: each halves frames and mels."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise((1, *config.audio.channels)):
        layers += [
            nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            Dropout(config.audio.dropout),
        ]
    return nn.Sequential(*layers)


def _pooled(config: ModelConfig) -> nn.Sequential:
    """Pairs of convolutions with a max pool after each pair but the last."""
    layers: list[nn.Module] = []
    channels = (1, *config.audio.channels)
    for number, (inputs, outputs) in enumerate(pairwise(channels), start=1):
        layers += [
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
        if number % 2 == 0 and number < len(config.audio.channels):
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class ClassifierProjection(nn.Module):
    """A classifier's hidden layer, a linear layer, and a perceptron that begins at zero.

    The linear layer can begin as the classifier's logits, turned to the shared space: standardised
    ones have a length of about `GAIN`, to which the perceptron's output is brought.
    """

    GAIN = 20.0

    def __init__(self, inputs: int, hidden: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.linear = nn.Linear(hidden, outputs)
        last = nn.Linear(hidden, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.perceptron = nn.Sequential(
            nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.GELU(), Dropout(dropout), last
        )

    def forward(self, codes: Tensor) -> Tensor:
        """Codes z_a [B, V] → φ_a [B, D]."""
        values = functional.hardswish(self.hidden(codes))
        phi: Tensor = self.linear(values) + self.GAIN * self.perceptron(values)
        return phi


def _projection(config: ModelConfig) -> nn.Module:
    """FNN_c-a: one linear layer, a perceptron on normalised codes, or a classifier's."""
    inputs, hidden = config.code_dim, config.audio.hidden
    if not hidden:
        return nn.Linear(inputs, config.dim, bias=False)
    if config.audio.kind == "mobilenet":
        return ClassifierProjection(inputs, hidden, config.dim, config.audio.dropout)
    layers = perceptron(inputs, hidden, config.dim, config.audio.dropout)
    return nn.Sequential(nn.BatchNorm1d(inputs), *layers)


class AudioDecoder(nn.Module):
    """d_a: reconstructs a patch from the code z_a; its last stage ends in BatchNorm and sigmoid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.code_shape = config.code_shape
        layers: list[nn.Module] = []
        stages = list(pairwise((*reversed(config.audio.channels), 1)))
        for number, (inputs, outputs) in enumerate(stages):
            is_last = number == len(stages) - 1
            if not is_last:
                layers.append(Dropout(config.audio.dropout))
            layers += [
                nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.Sigmoid() if is_last else nn.ReLU(),
            ]
        self.deconvolutions = nn.Sequential(*layers)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes z_a [B, V] → reconstructed patches [B, 1, T, F] in (0, 1)."""
        patches: Tensor = self.deconvolutions(codes.reshape(-1, *self.code_shape))
        return patches
