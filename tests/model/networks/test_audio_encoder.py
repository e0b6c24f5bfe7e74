"""The audio autoencoder's shapes and modes; its numbers are in test_parity."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from earmark.model.config import preset
from earmark.model.networks.audio_encoder import AudioDecoder, AudioEncoder, ClassifierProjection
from earmark.model.networks.dual_encoder import DualEncoder
from tests.model.tiny import tiny_config, trained_like


def test_shapes() -> None:
    config = tiny_config(dim=10)
    codes, phi = AudioEncoder(config).eval()(torch.rand(3, 1, 96, 96))
    assert codes.shape == (3, config.code_dim) == (3, 72)
    assert phi.shape == (3, 10)
    patches = AudioDecoder(config).eval()(codes)
    assert patches.shape == (3, 1, 96, 96)
    assert 0 < patches.min().item() <= patches.max().item() < 1


def test_the_paper_counts_parameters() -> None:
    encoder = AudioEncoder(preset("w2v-1152-1h"))
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert round(count / 1e6, 1) == 2.4


def test_projection_commutes_with_the_mean() -> None:
    encoder = AudioEncoder(tiny_config()).eval()
    codes = torch.randn(5, 72)
    mean = encoder.project(codes).mean(dim=0)
    torch.testing.assert_close(encoder.project(codes.mean(dim=0)), mean, atol=1e-5, rtol=1e-5)


def test_layer_norm_normalises_codes_except_in_coala() -> None:
    patches = torch.rand(2, 1, 96, 96)
    codes = AudioEncoder(tiny_config()).eval().encode(patches)
    assert codes.mean(dim=1).abs().max().item() < 1e-5
    plain = AudioEncoder(tiny_config("coala")).eval().encode(patches)
    assert plain.min().item() >= 0  # straight from a ReLU


def test_the_decoder_is_there_where_configured() -> None:
    config = tiny_config()
    assert DualEncoder(config).audio_decoder is not None
    without = replace(config, audio=replace(config.audio, decoder=False))
    assert DualEncoder(without).audio_decoder is None
    assert DualEncoder(tiny_config("coala")).tag_decoder is not None


def test_scaling_clips_below_and_not_above() -> None:
    model = DualEncoder(tiny_config())
    model.band_min.fill_(-2.0)
    model.band_max.fill_(2.0)
    scaled = model.scale(torch.tensor([-3.0, -2.0, 0.0, 2.0, 4.0])[:, None].expand(5, 96))
    assert scaled[:, 0].tolist() == [0.0, 0.0, 0.5, 1.0, 1.5]


def test_encode_windows_scales_first() -> None:
    model = DualEncoder(tiny_config()).eval()
    model.band_min.fill_(-4.0)
    patches = torch.randn(2, 96, 96)
    direct = model.audio.encode((((patches + 4) / 5).clamp(min=0))[:, None])
    torch.testing.assert_close(model.encode_windows(patches), direct, atol=1e-5, rtol=1e-4)


def test_a_pooled_encoder_hears_the_strongest_moment() -> None:
    config = tiny_config("first-starter")
    encoder = AudioEncoder(config).eval()
    patches = torch.zeros(2, 1, 112, 96)
    patches[0, :, 10:20] = 1.0
    patches[1, :, 50:60] = 1.0
    codes, phi = encoder(patches)
    assert codes.shape == (2, config.code_dim) == (2, 8)
    assert phi.shape == (2, 16)
    torch.testing.assert_close(codes[0], codes[1], atol=1e-3, rtol=1e-3)  # when, it does not say


def test_a_perceptron_moves_what_is_as_long_as_logits() -> None:
    """From zero, by its own output brought to their length."""
    torch.manual_seed(0)
    projection = AudioEncoder(tiny_config("starter")).projection.eval()
    assert isinstance(projection, ClassifierProjection)
    codes = torch.randn(5, projection.hidden.in_features)
    with torch.inference_mode():
        values = functional.hardswish(projection.hidden(codes))
        logits = projection.linear(values)
        assert torch.equal(projection(codes), logits)
        nn.init.normal_(projection.perceptron[-1].weight)
        moved = projection(codes) - logits
        expected = 20 * projection.perceptron(values)
    torch.testing.assert_close(moved, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["first-starter", "w2v-128-1h"])
def test_fused_norms_give_the_same(name: str) -> None:
    model = trained_like(tiny_config(name))
    frames = model.config.features.frames
    patches = torch.rand(3, 1, frames, 96)
    with torch.inference_mode():
        codes, phi = model.audio(patches)
        model.audio.fuse()
        fused, close = model.audio(patches)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.audio.modules())
    torch.testing.assert_close(fused, codes, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(close, phi, atol=2e-5, rtol=1e-4)
