"""Prunes a pooled encoder's channels: a narrower encoder with nearly the same codes, untrained.

Layer by layer (after He et al., "Channel Pruning for Accelerating Very Deep Neural Networks",
2017): the channels that matter most to the next layer stay, and a linear regression fits the
weights with which the narrower encoder's own inputs come nearest to the wider one's values.
Letters: B = batch, C = channels, T = frames, F = mels, V = size of the wide encoder's code.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.core.errors import ConfigError
from earmark.model.networks.audio_encoder import AudioEncoder

FIT_POSITIONS = 60_000  # in the feature maps, that a layer is fitted on
FIT_RIDGE = 1e-4  # of the mean square of the inputs

ConvolutionBlock = tuple[nn.Conv2d, nn.BatchNorm2d]


@torch.inference_mode()
def prune_channels(
    wide: AudioEncoder, narrow: AudioEncoder, patches: Tensor, seed: int = 0
) -> Tensor:
    """Fit the convolutions of `narrow` to those of `wide` on patches [B, 1, T, F].

    Both are pooled encoders with the same number of convolutions. Returns the channels of the wide
    code that the narrow code approximates, ascending. Raises ConfigError where `narrow` is not
    narrower.
    """
    wide_blocks, narrow_blocks = _convolution_blocks(wide), _convolution_blocks(narrow)
    if len(wide_blocks) != len(narrow_blocks) or any(
        narrow_block[0].out_channels > wide_block[0].out_channels
        for narrow_block, wide_block in zip(narrow_blocks, wide_blocks, strict=True)
    ):
        raise ConfigError("channels: expected a narrower encoder with as many convolutions")
    wide.eval()
    narrow.eval()
    generator = torch.Generator().manual_seed(seed)
    wide_maps = narrow_maps = patches
    channels = torch.arange(1)
    blocks = zip(wide_blocks, narrow_blocks, strict=True)
    for index, ((convolution, norm), narrow_block) in enumerate(blocks):
        values = norm(convolution(wide_maps))
        active = functional.relu(values)
        following = wide_blocks[index + 1] if index + 1 < len(wide_blocks) else None
        count = narrow_block[0].out_channels
        channels = _channel_importance(active, following).topk(count).indices.sort().values
        fitted = _fit_block(narrow_block, narrow_maps, values[:, channels], generator)
        narrow_maps = functional.relu(fitted)
        wide_maps = active
        if index % 2 and following is not None:
            wide_maps = functional.max_pool2d(wide_maps, 2)
            narrow_maps = functional.max_pool2d(narrow_maps, 2)
    return channels


def _convolution_blocks(encoder: AudioEncoder) -> list[ConvolutionBlock]:
    """Each convolution and the normalisation after it."""
    return [
        (layer, norm)
        for layer, norm in pairwise(encoder.convolutions)
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


def _channel_importance(active: Tensor, following: ConvolutionBlock | None) -> Tensor:
    """How much each channel of maps [B, C, T, F] adds to the next block, or to the code, [C]."""
    if following is None:
        return active.mean(dim=3).amax(dim=2).std(dim=0)
    convolution, norm = following
    scale = norm.weight / torch.sqrt(_running_variance(norm) + norm.eps)
    weights = convolution.weight * scale[:, None, None, None]
    return weights.square().sum(dim=(0, 2, 3)).sqrt() * active.std(dim=(0, 2, 3))


def _running_variance(norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_var is not None, "norms of an encoder keep statistics"
    return norm.running_var


def _fit_block(
    block: ConvolutionBlock, inputs: Tensor, target: Tensor, generator: torch.Generator
) -> Tensor:
    """Fit a block by ridge regression, so that inputs [B, C, T, F] give nearly the target.

    Returns what they give.
    """
    convolution, norm = block
    count, channels, height, width = inputs.shape
    positions = torch.randint(count * height * width, (FIT_POSITIONS,), generator=generator)
    clip, rest = positions // (height * width), positions % (height * width)
    row, column = rest // width, rest % width
    padded = functional.pad(inputs, (1, 1, 1, 1))
    neighbourhoods = torch.stack(
        [padded[clip, :, row + down, column + right] for down in range(3) for right in range(3)], 2
    ).reshape(FIT_POSITIONS, -1)
    design = torch.cat([neighbourhoods, torch.ones(FIT_POSITIONS, 1)], dim=1).double()
    square = design.T @ design
    square += FIT_RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    moments = design.T @ target[clip, :, row, column].double()
    solution = torch.linalg.solve(square, moments).float()
    convolution.weight.copy_(solution[:-1].T.reshape(-1, channels, 3, 3))
    outputs: Tensor = convolution(inputs)
    mean, variance = outputs.mean(dim=(0, 2, 3)), outputs.var(dim=(0, 2, 3))
    assert norm.running_mean is not None, "norms of an encoder keep statistics"
    norm.running_mean.copy_(mean)
    _running_variance(norm).copy_(variance)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(solution[-1] + mean)
    return norm(outputs)  # type: ignore[no-any-return]
