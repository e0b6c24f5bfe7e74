"""MobileNetV3-Large (Howard et al. 2019) over log-mel windows, as EfficientAT has it.

Schmid, Koutini and Widmer, "Efficient Large-Scale Audio Tagging via Transformer-To-CNN Knowledge
Distillation" (ICASSP 2023). Axes: B = batch, C = channels, T = frames, F = mels. Each of the five
stages of stride 2 halves frames and mels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earmark.model.config import rounded_channels

STRIDE = 32  # frames of a window that one frame of the last map covers
EPSILON = 1e-3  # of the batch norms


class Block(NamedTuple):
    """An inverted residual at width 1: kernel, expanded and output channels, and how it works."""

    kernel: int
    expanded: int
    output: int
    squeezes: bool
    hard_swish: bool
    stride: int


BLOCKS = (
    Block(3, 16, 16, False, False, 1),
    Block(3, 64, 24, False, False, 2),
    Block(3, 72, 24, False, False, 1),
    Block(5, 72, 40, True, False, 2),
    Block(5, 120, 40, True, False, 1),
    Block(5, 120, 40, True, False, 1),
    Block(3, 240, 80, False, True, 2),
    Block(3, 200, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 184, 80, False, True, 1),
    Block(3, 480, 112, True, True, 1),
    Block(3, 672, 112, True, True, 1),
    Block(5, 672, 160, True, True, 2),
    Block(5, 960, 160, True, True, 1),
    Block(5, 960, 160, True, True, 1),
)
STEM = 16  # channels before the blocks, at width 1
EXPANSION = 6  # of the last block's channels, into the code


class SqueezeExcitation(nn.Module):
    """Scales each channel by what all frames and mels say of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        squeezed = rounded_channels(width // 4)
        self.fc1 = nn.Linear(width, squeezed)
        self.fc2 = nn.Linear(squeezed, width)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, T, F] → [B, C, T, F]."""
        scales = self.fc2(functional.relu(self.fc1(maps.mean(dim=(2, 3)))))
        return maps * torch.sigmoid(scales)[:, :, None, None]


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int, activation: nn.Module
) -> nn.Sequential:
    """A convolution without bias, its batch norm, and an activation."""
    padding = kernel // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON, momentum=0.01),
        activation,
    )


class InvertedResidual(nn.Module):
    """1×1 expansion, depthwise convolution, squeeze-excitation, 1×1 projection; with a skip."""

    def __init__(self, inputs: int, block: Block, width: float) -> None:
        super().__init__()
        expanded = rounded_channels(width * block.expanded)
        outputs = rounded_channels(width * block.output)
        activation = nn.Hardswish if block.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != inputs:
            layers.append(_convolution(inputs, expanded, 1, 1, 1, activation(inplace=True)))
        layers.append(
            _convolution(
                expanded, expanded, block.kernel, block.stride, expanded, activation(inplace=True)
            )
        )
        if block.squeezes:
            layers.append(SqueezeExcitation(expanded))
        layers.append(_convolution(expanded, outputs, 1, 1, 1, nn.Identity()))
        self.block = nn.Sequential(*layers)
        self.skips = inputs == outputs and block.stride == 1

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, T, F] → [B, C', T', F']."""
        result: Tensor = self.block(maps)
        return maps + result if self.skips else result


class MobileNet(nn.Sequential):
    """[B, 1, T, F] → the last map [B, V, T / 32, F / 32]."""

    def __init__(self, width: float) -> None:
        inputs = rounded_channels(width * STEM)
        layers: list[nn.Module] = [_convolution(1, inputs, 3, 2, 1, nn.Hardswish(inplace=True))]
        for block in BLOCKS:
            layers.append(InvertedResidual(inputs, block, width))
            inputs = rounded_channels(width * block.output)
        layers.append(_convolution(inputs, EXPANSION * inputs, 1, 1, 1, nn.Hardswish(inplace=True)))
        super().__init__(*layers)

    def fuse(self) -> None:
        """Fold each batch norm into its convolution: the same outputs, faster. For inference."""
        for module in self.modules():
            if isinstance(module, nn.Sequential) and len(module) == 3:
                convolution, norm = module[0], module[1]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[0], module[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
