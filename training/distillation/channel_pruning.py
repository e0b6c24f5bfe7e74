"""A pooled encoder → a narrower one that gives nearly the same, without training.

Layer by layer (after He et al., "Channel Pruning for Accelerating Very Deep Neural Networks",
2017): the channels that matter most to the next layer stay, and a linear regression gives the
weights with which the narrower encoder's own inputs come nearest to the wider one's values.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from earmark.model.core.errors import ConfigError
from earmark.model.networks.audio_encoder import AudioEncoder

POINTS = 60_000  # places in the maps that a layer is fitted on
RIDGE = 1e-4  # of the mean square of the inputs


@torch.inference_mode()
def compress(wide: AudioEncoder, narrow: AudioEncoder, patches: Tensor, seed: int = 0) -> Tensor:
    """Fit the convolutions of `narrow` to those of `wide` on patches [B, 1, T, F].

    Both are pooled encoders of as many convolutions. Returns the channels [V] of the wide code
    that the narrow code stands for. Raises ConfigError where it is not narrower.
    """
    pairs, own = _pairs(wide), _pairs(narrow)
    if len(pairs) != len(own) or any(
        ours[0].out_channels > theirs[0].out_channels
        for ours, theirs in zip(own, pairs, strict=True)
    ):
        raise ConfigError("channels: expected a narrower encoder with as many convolutions")
    wide.eval()
    narrow.eval()
    generator = torch.Generator().manual_seed(seed)
    theirs = ours = patches
    kept = torch.arange(1)
    for number, ((convolution, norm), layer) in enumerate(zip(pairs, own, strict=True)):
        values = norm(convolution(theirs))
        active = functional.relu(values)
        following = pairs[number + 1] if number + 1 < len(pairs) else None
        count = layer[0].out_channels
        kept = _weight(active, following).topk(count).indices.sort().values
        ours = functional.relu(_fit(layer, ours, values[:, kept], generator))
        theirs = active
        if number % 2 and following is not None:
            theirs, ours = functional.max_pool2d(theirs, 2), functional.max_pool2d(ours, 2)
    return kept


def _pairs(encoder: AudioEncoder) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    layers = list(encoder.convolutions)
    return [
        (layer, norm)
        for layer, norm in pairwise(layers)
        if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


def _weight(active: Tensor, following: tuple[nn.Conv2d, nn.BatchNorm2d] | None) -> Tensor:
    """How much each channel of maps [B, C, T, F] tells the next layer, or the code, [C]."""
    if following is None:
        return active.mean(dim=3).amax(dim=2).std(dim=0)
    convolution, norm = following
    scale = norm.weight / torch.sqrt(_variance(norm) + norm.eps)
    reach = (convolution.weight * scale[:, None, None, None]).square().sum(dim=(0, 2, 3)).sqrt()
    return reach * active.std(dim=(0, 2, 3))


def _variance(norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_var is not None, "norms of an encoder keep statistics"
    return norm.running_var


def _fit(
    layer: tuple[nn.Conv2d, nn.BatchNorm2d],
    inputs: Tensor,
    wanted: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Set convolution and norm so that inputs [B, C, T, F] give nearly `wanted`; what they give."""
    convolution, norm = layer
    count, channels, height, width = inputs.shape
    places = torch.randint(count * height * width, (POINTS,), generator=generator)
    clip, rest = places // (height * width), places % (height * width)
    row, column = rest // width, rest % width
    padded = functional.pad(inputs, (1, 1, 1, 1))
    seen = torch.stack(
        [padded[clip, :, row + down, column + right] for down in range(3) for right in range(3)], 2
    ).reshape(POINTS, -1)
    seen = torch.cat([seen, torch.ones(POINTS, 1)], dim=1).double()
    square = seen.T @ seen
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=torch.float64)
    solved = torch.linalg.solve(square, seen.T @ wanted[clip, :, row, column].double()).float()
    convolution.weight.copy_(solved[:-1].T.reshape(-1, channels, 3, 3))
    given: Tensor = convolution(inputs)
    mean, variance = given.mean(dim=(0, 2, 3)), given.var(dim=(0, 2, 3))
    assert norm.running_mean is not None, "norms of an encoder keep statistics"
    norm.running_mean.copy_(mean)
    _variance(norm).copy_(variance)
    norm.weight.copy_(torch.sqrt(variance + norm.eps))
    norm.bias.copy_(solved[-1] + mean)
    return norm(given)  # type: ignore[no-any-return]
