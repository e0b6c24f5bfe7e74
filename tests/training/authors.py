"""The authors' modules, as METHOD §2, §3 and §7 describe them, under their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tests.model.networks.test_parity import formula

DIM = 128  # of the smaller presets, the only size with published weights
TOKENS = "id2token_top_1000.json"
SCALER = "minmax_scaler.npz"
TAG_FILE = "tag_encoder_att_epoch_3.pt"
AUDIO_FILE = "audio_encoder_epoch_3.pt"
DECODER_FILE = "audio_decoder_epoch_3.pt"
WORDS = ["rain", "dog", "siren", "wind", "drum", "bark", "sea", "bell", "car", "door", "owl", "cat"]

State = dict[str, Tensor]


class AudioHalf(nn.Module):
    """Their encoder with its projection: φ_a and z_a of patches [B, 1, T, F]."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs in (1, 128, 128, 128, 128):
            layers += [nn.Conv2d(inputs, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.ReLU()]
            layers.append(nn.Dropout(0.25))
        layers += [nn.Flatten(), nn.LayerNorm(1152, eps=1e-6)]
        self.audio_encoder = nn.Sequential(*layers)
        self.fc_audio = nn.Sequential(nn.Linear(1152, DIM, bias=False), nn.Dropout(0.25))

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.audio_encoder(patches)
        return codes, self.fc_audio(codes)


class Decoder(nn.Module):
    """Their decoder: codes → patches."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Unflatten(1, (128, 3, 3))]
        for _ in range(4):
            layers += [nn.Dropout(0.25), nn.ConvTranspose2d(128, 128, 4, 2, 1)]
            layers += [nn.BatchNorm2d(128), nn.ReLU()]
        layers += [nn.ConvTranspose2d(128, 1, 4, 2, 1), nn.BatchNorm2d(1), nn.Sigmoid()]
        self.audio_decoder = nn.Sequential(*layers)


def at_random(module: nn.Module) -> nn.Module:
    """Weights with which the outputs depend much on the inputs, unlike the golden ones."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.dim() > 1:
                fan = tensor[0].numel() if "decoder" not in name else tensor.shape[0] * 4
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan) ** 0.5)
            elif tensor.is_floating_point():
                low, high = (0.5, 1.5) if "running_var" in name or "weight" in name else (-0.2, 0.2)
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
    return module.eval()


def with_formula(module: nn.Module) -> nn.Module:
    """The golden weights of METHOD §7."""
    state = {
        name: torch.zeros_like(tensor)
        if name.endswith("num_batches_tracked")
        else formula(tuple(tensor.shape), name)
        for name, tensor in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


def tag_state(kind: str, seed: int = 0, count: int = len(WORDS), dim: int = DIM) -> State:
    """Random parameters of a tag encoder: "1h", "4h" or "mean"."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    embeddings = draw(count + 1, dim) * 10
    embeddings[0] = 0
    state = {"embeddings.weight": embeddings}
    width = dim
    if kind != "mean":
        width = int(kind[0]) * dim
        state |= {name: draw(width, dim) for name in ("w_qs.weight", "w_ks.weight", "w_vs.weight")}
    state["fc.weight"] = draw(dim, width)
    return state | {"layer_norm.weight": 1 + draw(dim), "layer_norm.bias": draw(dim)}


def phi(state: State, numbers: list[int]) -> np.ndarray:
    """φ_w of the tags with these numbers (from 0), computed directly from the equations."""
    arrays = {name: tensor.double().numpy() for name, tensor in state.items()}
    words = arrays["embeddings.weight"][[number + 1 for number in numbers]]
    if "w_qs.weight" in arrays:
        dim = words.shape[1]
        words = np.concatenate([words, np.zeros((10 - len(words), dim))])
        heads = []
        for start in range(0, len(arrays["w_qs.weight"]), dim):
            q, k, v = (words @ arrays[f"w_{n}s.weight"][start : start + dim].T for n in "qkv")
            weights = np.exp(q @ k.T / np.sqrt(dim))
            weights[:, len(numbers) :] = 0
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ v)
        summed = (np.concatenate(heads, axis=1) @ arrays["fc.weight"].T).sum(axis=0)
    else:
        summed = (words @ arrays["fc.weight"].T).mean(axis=0)
    centred = (summed - summed.mean()) / np.sqrt(summed.var() + 1e-6)
    return np.asarray(centred * arrays["layer_norm.weight"] + arrays["layer_norm.bias"])


def write_tokens(folder: Path, words: list[str] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokens = {str(number): word for number, word in enumerate(WORDS if words is None else words)}
    (folder / TOKENS).write_text(json.dumps(tokens), encoding="utf-8")
    return folder / TOKENS


def write_scaler(folder: Path) -> dict[str, np.ndarray]:
    """As scikit-learn's MinMaxScaler keeps it."""
    low = np.linspace(-16, -9, 96, dtype=np.float32)
    high = np.linspace(5, 2, 96, dtype=np.float32)
    scaler = {
        "data_min_": low,
        "data_max_": high,
        "scale_": 1 / (high - low),
        "min_": -low / (high - low),
    }
    np.savez(folder / SCALER, **scaler)
    return scaler


def write_npz(folder: Path, state: State) -> Path:
    """A tag encoder's file with its tokens beside."""
    write_tokens(folder)
    file = folder / "tag_encoder.npz"
    np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
    return file


def write_folder(root: Path, state: State, *, audio: bool = False) -> Path:
    """`saved_models/NAME` as published, its tokens in `json` beside `saved_models`."""
    folder = root / "saved_models" / "128_selfatt"
    folder.mkdir(parents=True)
    torch.save(state, folder / TAG_FILE)
    write_tokens(root / "json")
    if audio:
        torch.save(at_random(AudioHalf()).state_dict(), folder / AUDIO_FILE)
        torch.save(at_random(Decoder()).state_dict(), folder / DECODER_FILE)
        write_scaler(root / "json")
    return folder
