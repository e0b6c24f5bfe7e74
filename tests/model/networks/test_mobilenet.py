"""MobileNetV3 over log-mel windows: shapes, widths, squeeze-excitation, fused norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from earmark.model.config import rounded_channels
from earmark.model.networks.audio_encoder import AudioEncoder, ClassifierProjection
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.networks.mobilenet import (
    BLOCKS,
    STRIDE,
    InvertedResidual,
    MobileNet,
    SqueezeExcitation,
)
from tests.model.tiny import sentence_config, trained_like


@pytest.fixture(scope="module")
def model() -> DualEncoder:
    return trained_like(sentence_config())


def test_channels_are_multiples_of_eight_near_the_share() -> None:
    assert [rounded_channels(count) for count in (0, 1, 8, 11, 12, 15.9, 28.8, 30.4, 64)] == [
        *(8, 8, 8, 16, 16, 16, 32, 32, 64)
    ]
    for count in range(8, 1000):
        rounded = rounded_channels(count)
        assert rounded % 8 == 0
        assert 0.9 * count <= rounded < count + 8


@pytest.mark.parametrize(
    ("frames", "mels", "expected"),
    [(1, 32, (1, 1)), (32, 64, (1, 2)), (33, 128, (2, 4)), (500, 128, (16, 4))],
)
def test_each_frame_of_the_map_covers_thirty_two(
    frames: int, mels: int, expected: tuple[int, int]
) -> None:
    maps = MobileNet(0.1).eval()(torch.rand(2, 1, frames, mels))
    assert maps.shape == (2, 6 * rounded_channels(16), *expected)
    assert expected[0] == -(-frames // STRIDE)


def test_blocks_are_those_of_the_specification() -> None:
    network = MobileNet(0.1)
    residuals = [layer for layer in network if isinstance(layer, InvertedResidual)]
    assert len(residuals) == len(BLOCKS) == 15
    assert [
        number for number, block in enumerate(BLOCKS, start=1) if block.stride == 2
    ] == [2, 4, 7, 13]  # fmt: skip
    squeezing = [
        any(isinstance(layer, SqueezeExcitation) for layer in residual.modules())
        for residual in residuals
    ]
    assert squeezing == [block.squeezes for block in BLOCKS]
    assert not any(residual.skips for residual, block in zip(residuals, BLOCKS, strict=True)
                   if block.stride == 2)  # fmt: skip
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_the_whole_width_counts_parameters_as_published() -> None:
    """MobileNetV3-Large without its classifier has 2.97 M parameters with three input channels."""
    count = sum(parameter.numel() for parameter in MobileNet(1.0).parameters())
    assert count / 1e6 == pytest.approx(2.97, abs=0.01)


def test_squeeze_excitation_scales_channels_by_their_means() -> None:
    layer = SqueezeExcitation(8)
    maps = torch.randn(2, 8, 5, 4)
    scaled = layer(maps)
    ratio = (scaled / maps).flatten(2)
    torch.testing.assert_close(ratio, ratio[:, :, :1].expand_as(ratio), atol=1e-5, rtol=1e-5)
    assert 0 < ratio.min().item() <= ratio.max().item() < 1
    order = torch.randperm(5)
    torch.testing.assert_close(layer(maps[:, :, order]), scaled[:, :, order])


def test_codes_and_vectors(model: DualEncoder) -> None:
    config = model.config
    with torch.inference_mode():
        codes, phi = model.audio(torch.rand(3, 1, 64, 128))
        longer = model.audio.encode(torch.rand(1, 1, 96, 128))
    assert codes.shape == (3, config.code_dim) == (3, 96)
    assert phi.shape == (3, 16)
    assert longer.shape == (1, 96)  # any number of frames has a code of the same size


def test_fused_norms_give_the_same() -> None:
    model = trained_like(sentence_config())
    patches = torch.rand(2, 1, 64, 128)
    with torch.inference_mode():
        codes, phi = model.audio(patches)
        for _ in range(2):  # twice changes nothing more
            model.audio.fuse()
            fused, close = model.audio(patches)
            torch.testing.assert_close(fused, codes, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(close, phi, atol=1e-4, rtol=1e-4)
    convolutions = model.audio.convolutions
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in convolutions.modules())


def test_scaling_does_not_clip(model: DualEncoder) -> None:
    low = torch.full((1, 1, 128), float(model.band_min[0]) - 1)
    assert model.scale(low).max().item() < 0


def test_a_projection_begins_as_the_classifier() -> None:
    projection = ClassifierProjection(6, 8, 4, 0.1).train()
    codes = torch.randn(3, 6)
    expected = projection.linear(nn.functional.hardswish(projection.hidden(codes)))
    torch.testing.assert_close(projection(codes), expected)
    projection(codes).sum().backward()
    assert projection.perceptron[-1].weight.grad.abs().max().item() > 0  # and it can learn


def test_all_parameters_learn() -> None:
    encoder = AudioEncoder(sentence_config()).train()
    nn.init.normal_(encoder.projection.perceptron[-1].weight)
    _, phi = encoder(torch.rand(4, 1, 64, 128))
    phi.square().sum().backward()
    still = [name for name, weight in encoder.named_parameters() if weight.grad is None]
    assert not still
