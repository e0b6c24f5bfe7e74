"""Features and MobileNet against the numbers of EfficientAT's own code, with its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.config import AudioConfig, ModelConfig
from earmark.model.networks.audio_encoder import ClassifierProjection
from earmark.model.networks.dual_encoder import DualEncoder
from tests.model.tiny import everyday_features

RATE = 32_000
CLASSES = 527
FIRST, SPAN = -4.5, 5.0  # its log-mel is (ln(power + 1e-5) - FIRST) / SPAN


def sounds() -> dict[str, np.ndarray]:
    """The three sounds of its golden numbers, 5 s each."""
    numbers = np.arange(5 * RATE)
    time = numbers / RATE
    noise = (1_103_515_245 * numbers + 12_345) % 2**31 / 2**31 - 0.5
    return {
        "chirp": 0.4 * np.sin(2 * np.pi * (200 * time + 400 * time**2)),
        "pulses": 0.8 * np.sin(2 * np.pi * 1500 * time) * np.exp(-40 * (time % 0.5)),
        "hash": 0.3 * noise,
    }


def convolutions(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Its convolutions by our names. Its maps are [B, C, F, T], ours [B, C, T, F]."""
    return {
        name.removeprefix("features.").replace("conc_se_layers.0.", ""): tensor.transpose(2, 3)
        if tensor.ndim == 4
        else tensor
        for name, tensor in weights.items()
        if name.startswith("features.")
    }


def model_of(weights: dict[str, Tensor]) -> DualEncoder:
    """A model that hears as the teacher: its φ_a are the logits of the 527 classes."""
    audio = AudioConfig(
        kind="mobilenet", channels=(), layer_norm=False, hidden=512, decoder=False, width=0.4
    )
    config = ModelConfig("teacher", CLASSES, features=everyday_features(), audio=audio)
    model = DualEncoder(replace(config, tags=replace(config.tags, word_dim=2)))
    assert model.audio is not None
    projection = model.audio.projection
    assert isinstance(projection, ClassifierProjection)
    model.audio.convolutions.load_state_dict(convolutions(weights))
    for name, layer in (("classifier.2", projection.hidden), ("classifier.5", projection.linear)):
        layer.load_state_dict({key: weights[f"{name}.{key}"] for key in ("weight", "bias")})
    model.band_min.fill_(FIRST)
    model.band_max.fill_(FIRST + SPAN)
    return model.eval()


def test_the_teachers_numbers(shared: Path) -> None:
    folder = shared / "teachers"
    if not folder.is_dir():
        pytest.skip(f"no reference files: {folder} is absent")
    golden = np.load(folder / "golden.npz")
    model = model_of(torch.load(folder / "mn04_as_mAP_432.pt", weights_only=True))
    assert model.audio is not None
    features = everyday_features()
    log_mel = LogMel(features, mel_filters(features))
    frames = {name: log_mel(sound.astype(np.float32)) for name, sound in sounds().items()}
    for name, found in frames.items():
        first = (found[:64].T - FIRST) / SPAN
        np.testing.assert_allclose(first, golden[f"{name}_logmel_first64"], atol=1e-4)
    windows = torch.from_numpy(np.stack(list(frames.values())))
    with torch.inference_mode():
        batch, channels, frame_count, mels = model.audio.convolutions(
            model.scale(windows[:1])[:, None]
        ).shape
        assert [batch, channels, mels, frame_count] == golden["chirp_map_shape"].tolist()
        for is_fused in (False, True):
            if is_fused:
                model.audio.fuse()
            codes = model.encode_windows(windows)
            logits = model.audio.project(codes)
            for row, name in enumerate(frames):
                np.testing.assert_allclose(codes[row], golden[f"{name}_code"], atol=1e-4)
                np.testing.assert_allclose(logits[row], golden[f"{name}_logits"], atol=1e-4)
    assert frame_count * 32 >= len(frames["chirp"])
