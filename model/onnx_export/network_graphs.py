"""A model's networks → ONNX graphs (what is in which: `model.encoders.onnx_folder`).

Axes: n and W = windows, T = frames, F = mels, S = steps, V = audio code, D = shared dimension,
B = batch, N = tags, F_w = word dimension.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn import functional

from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.model.networks.dual_encoder import DualEncoder

OPSET = 18


class _Windows(nn.Module):
    """Log-mel windows [n, T, F] → codes [n, V], and those of their steps [n, S, V]."""

    def __init__(self, model: DualEncoder, audio: AudioEncoder) -> None:
        super().__init__()
        self.model, self.audio = model, audio

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        patches = self.model.scale(log_mel)[:, None]
        return self.audio.encode(patches), self.audio.encode_steps(patches)


class _Projection(nn.Module):
    """Codes [n, V] → φ_a [n, D]."""

    def __init__(self, audio: AudioEncoder) -> None:
        super().__init__()
        self.audio = audio

    def forward(self, codes: Tensor) -> Tensor:
        return self.audio.project(codes)


class _Sound(nn.Module):
    """All windows [W, T, F] of a sound → its vector [D] and code [V], and its windows' vectors
    [W, D]."""

    def __init__(self, model: DualEncoder, audio: AudioEncoder) -> None:
        super().__init__()
        self.model, self.audio = model, audio

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes = self.audio.encode(self.model.scale(log_mel)[:, None])
        code = codes.mean(dim=0, keepdim=True)
        vectors = functional.normalize(self.audio.project(torch.cat([code, codes])), dim=-1)
        return vectors[0], code[0], vectors[1:]


class _Text(nn.Module):
    """Word vectors [B, N, F_w] and mask [B, N] → φ_w [B, D], and the same of length 1."""

    def __init__(self, tags: nn.Module) -> None:
        super().__init__()
        self.tags = tags

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        phi = self.tags(words, mask)
        return phi, functional.normalize(phi, dim=-1)


def encoder_graph(model: DualEncoder, audio: AudioEncoder) -> onnx.ModelProto:
    """`log_mel` [n, T, F] → `codes` [n, V], `steps` [n, S, V]."""
    axes = {name: {0: "windows"} for name in ("log_mel", "codes", "steps")}
    return _export(_Windows(model, audio), {"log_mel": _patches(model)}, ["codes", "steps"], axes)


def projection_graph(model: DualEncoder, audio: AudioEncoder) -> onnx.ModelProto:
    """`codes` [n, V] → `phi` [n, D]."""
    codes = torch.rand(2, model.config.code_dim)
    axes = {name: {0: "codes"} for name in ("codes", "phi")}
    return _export(_Projection(audio), {"codes": codes}, ["phi"], axes)


def sound_graph(model: DualEncoder, audio: AudioEncoder) -> onnx.ModelProto:
    """`log_mel` [W, T, F] of one sound → `vector` [D], `code` [V], `windows` [W, D]."""
    axes = {name: {0: "windows"} for name in ("log_mel", "windows")}
    outputs = ["vector", "code", "windows"]
    return _export(_Sound(model, audio), {"log_mel": _patches(model)}, outputs, axes)


def text_graph(model: DualEncoder) -> onnx.ModelProto:
    """`words` [B, N, F_w], `mask` [B, N] → `phi` [B, D], `vectors` [B, D].

    N is `max_tags` where the sum includes padded positions.
    """
    tags = model.config.tags
    inputs = {
        "words": torch.rand(2, tags.max_tags, tags.word_dim),
        "mask": torch.ones(2, tags.max_tags, dtype=torch.bool),
    }
    axes = {name: {0: "sets"} for name in ("words", "mask", "phi", "vectors")}
    if not tags.sum_padding:
        for name in inputs:
            axes[name][1] = "tags"
    return _export(_Text(model.tags), inputs, ["phi", "vectors"], axes)


def _patches(model: DualEncoder) -> Tensor:
    features = model.config.features
    return torch.rand(2, features.frames, features.n_mels)


def _export(
    module: nn.Module,
    inputs: dict[str, Tensor],
    outputs: list[str],
    axes: dict[str, dict[int, str]],
) -> onnx.ModelProto:
    """The graph of a module. `axes`: names of those that may have any size.

    By tracing: torch's newer way takes twenty times as long, and two packages more.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            file,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load_model(file)
