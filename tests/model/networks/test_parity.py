"""The encoders and features give the numbers of the authors' own modules (METHOD §7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earmark.model.audio.log_mel import LogMel, loudest_patch, mel_filters
from earmark.model.config import FeatureConfig, preset
from earmark.model.networks.dual_encoder import DualEncoder

Golden = Mapping[str, np.ndarray]

TOLERANCE = 1e-5
AUDIO_NAMES = {"convolutions": "audio_encoder", "norm": "audio_encoder.21"}
TAG_NAMES = {
    "query": "w_qs",
    "key": "w_ks",
    "value": "w_vs",
    "output": "fc",
    "norm": "layer_norm",
    "dense": "tag_encoder",
    "projection": "fc_tag.0",
}


def formula(shape: tuple[int, ...], name: str) -> Tensor:
    """The golden weights of a tensor of the authors' name."""
    start = sum((position + 1) * ord(letter) for position, letter in enumerate(name)) % 997
    count = int(np.prod(shape, dtype=np.int64))
    values = 0.05 * np.sin(0.6180339887 * np.arange(count, dtype=np.float64) + start)
    if name.endswith("running_var"):
        values = np.abs(values) + 0.5
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def fill(module: nn.Module, authors_name: Callable[[str], str]) -> nn.Module:
    """Give every parameter its golden weights."""
    module.load_state_dict(
        {
            name: torch.zeros_like(tensor)
            if name.endswith("num_batches_tracked")
            else formula(tuple(tensor.shape), authors_name(name))
            for name, tensor in module.state_dict().items()
        }
    )
    return module.eval()


def renamed(names: Mapping[str, str]) -> Callable[[str], str]:
    def authors_name(name: str) -> str:
        first, rest = name.split(".", 1)
        return f"{names[first]}.{rest}"

    return authors_name


def close(ours: Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours.detach().numpy() - theirs).max() <= TOLERANCE


@pytest.mark.parametrize("dim", [128, 1152])
def test_audio_encoder(golden: Golden, dim: int) -> None:
    names = renamed({**AUDIO_NAMES, "projection": "fc_audio.0"})
    encoder = fill(DualEncoder(preset(f"w2v-{dim}-1h")).audio, names)
    codes, phi = encoder(torch.from_numpy(golden["in_patch"]))
    close(codes, golden[f"audio_encoder_{dim}_z"])
    close(phi, golden[f"audio_encoder_{dim}_phi"])


def test_audio_decoder(golden: Golden) -> None:
    def authors_name(name: str) -> str:
        _, number, rest = name.split(".")
        return f"audio_decoder.{int(number) + 1}.{rest}"

    decoder = DualEncoder(preset("w2v-128-1h")).audio_decoder
    assert decoder is not None
    patches = fill(decoder, authors_name)(torch.from_numpy(golden["audio_encoder_128_z"]))
    close(patches, golden["audio_decoder_xhat"])


def tag_inputs(golden: Golden, embeddings: np.ndarray) -> tuple[Tensor, Tensor]:
    ids = golden["in_tag_ids"]
    return torch.from_numpy(embeddings[ids]), torch.from_numpy(ids > 0)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention(golden: Golden, heads: int) -> None:
    encoder = fill(DualEncoder(preset(f"w2v-128-{heads}h")).tags, renamed(TAG_NAMES))
    embeddings = formula((1001, 128), "embeddings.weight").numpy()
    phi, weights = encoder.attend(*tag_inputs(golden, embeddings))
    close(phi, golden[f"tag_attention_128_{heads}h_phi"])
    close(weights, golden[f"tag_attention_128_{heads}h_weights"])
    close(encoder(*tag_inputs(golden, embeddings)), golden[f"tag_attention_128_{heads}h_phi"])


def test_mean_of_a_full_set(golden: Golden) -> None:
    encoder = fill(DualEncoder(preset("w2v-128-mean")).tags, renamed(TAG_NAMES))
    words, mask = tag_inputs(golden, formula((1001, 128), "embeddings.weight").numpy())
    full = [row for row in range(3) if mask[row].all()]
    assert full == [1]
    for row in full:
        phi = encoder(words[row : row + 1], mask[row : row + 1])
        close(phi[0], golden["tag_mean_128_phi"][row])


def test_mean_of_short_sets_but_for_the_padding_vector(golden: Golden) -> None:
    """The golden padding vector is not zero, and the authors' sum takes it in; ours is masked.

    With the trained encoders, whose padding is zero, both are the same (below).
    """
    encoder = fill(DualEncoder(preset("w2v-128-mean")).tags, renamed(TAG_NAMES))
    words, mask = tag_inputs(golden, formula((1001, 128), "embeddings.weight").numpy())
    for row in (0, 2):
        padding = words[row][~mask[row]].sum(dim=0)
        words[row, 0] += padding
        close(encoder(words, mask)[row], golden["tag_mean_128_phi"][row])


def test_coala_tag_encoder(golden: Golden) -> None:
    encoder = fill(DualEncoder(preset("coala")).tags, renamed(TAG_NAMES))
    codes = encoder.encode(torch.from_numpy(golden["in_multihot"]))
    close(codes, golden["coala_tag_encoder_z"])
    close(encoder.project(codes), golden["coala_tag_encoder_phi"])


@pytest.mark.parametrize(
    ("name", "kind"), [("selfatt_c_1h", "1h"), ("selfatt_c_4h", "4h"), ("mean_c", "mean")]
)
def test_trained_tag_encoders(golden: Golden, shared: Path, name: str, kind: str) -> None:
    with np.load(shared / "reference" / f"tag_encoder_128_{name}.npz") as file:
        trained = dict(file)
    encoder = DualEncoder(preset(f"w2v-128-{kind}")).tags.eval()
    authors_name = renamed(TAG_NAMES)
    encoder.load_state_dict(
        {key: torch.from_numpy(trained[authors_name(key)]) for key in encoder.state_dict()}
    )
    words, mask = tag_inputs(golden, trained["embeddings.weight"])
    for row in range(len(words)):
        phi = encoder(words[row : row + 1], mask[row : row + 1])
        close(phi[0], golden[f"trained_128_{name}_phi"][row])


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """The signal of `in_signal_formula`: a tone and a sweep, its second half quieter."""
    n = np.arange(220_000)
    sweep = np.cumsum(np.linspace(100, 9000, 220_000))
    tone = 0.5 * np.sin(2 * np.pi * 440 * n / 22_000)
    samples = (tone + 0.25 * np.sin(2 * np.pi * sweep / 22_000)).astype(np.float32)
    samples[110_000:] *= np.float32(0.1)
    return samples


@pytest.mark.parametrize("window", ["hann", "hamming"])
def test_log_mel(golden: Golden, signal: np.ndarray, window: str) -> None:
    config = FeatureConfig(stft_window=window)
    log_mel = LogMel(config, mel_filters(config))(signal)
    assert np.abs(log_mel.T - golden[f"logmel_{window}"]).max() < 1e-3
    start = golden[f"max_energy_patch_start_{window}"]
    assert loudest_patch(log_mel, config.frames) == start == 120


def test_scaled_log_mel(golden: Golden, signal: np.ndarray, shared: Path) -> None:
    with np.load(shared / "reference" / "minmax_scaler.npz") as file:
        scaler = dict(file)
    config = preset("w2v-128-1h")
    model = DualEncoder(config)
    model.band_min.copy_(torch.from_numpy(scaler["data_min_"]))
    model.band_max.copy_(torch.from_numpy(scaler["data_max_"]))
    log_mel = LogMel(config.features, mel_filters(config.features))(signal)[:96]
    scaled = model.scale(torch.from_numpy(log_mel)).numpy()
    # The golden numbers are from before the authors clip negatives to 0.
    expected = np.clip(golden["logmel_scaled_first96"], 0, None)
    assert np.abs(scaled - expected).max() < 1e-3
