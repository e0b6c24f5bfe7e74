"""A model in one file, `model.safetensors`: everything between bytes and vectors.

Format 1: a safetensors file, no pickle. Its header's `earmark` entry is JSON with the format
version, the configuration, the vocabulary (tags that the model may suggest), a card (how it was
trained, figures, calibration) and the fingerprint. Tensors: `model.*` (weights, scaler, mel
filters), `words.vectors`, `words.text` (UTF-8, one word a line), and for FastText `words.subwords`
with `words.subword_lengths`. Where the configuration names a sentence encoder there are no word
vectors; the header's `sentence_encoder` is the hash of its weights. `background.mean` and
`background.covariance` are there where they were measured. The fingerprint is a hash of
configuration and tensors: models with the same fingerprint give the same vectors. It is checked on
load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from earmark.model.background import Background
from earmark.model.config import ModelConfig
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import CheckpointError, ConfigError
from earmark.model.model_arrays import (
    background_arrays,
    read_background,
    read_words,
    word_arrays,
)
from earmark.model.model_files import FILE_NAME, model_file
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.text import sentence_vectors
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.model.text.word_vectors import WordVectors

FORMAT = 1


@dataclass
class Checkpoint:
    """A model with its word vectors. `fingerprint`: set when it is saved or loaded;
    `background`: of the training sounds."""

    model: DualEncoder
    words: WordVectors
    vocabulary: list[str]
    card: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    background: Background | None = None


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a safetensors file whole or not at all. Raises CheckpointError."""
    data = safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        metadata={"earmark": json.dumps(header, sort_keys=True)},
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, [data])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror})") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and header of a file by `write_tensors`. Raises CheckpointError."""
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            header = (file.metadata() or {}).get("earmark")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: truncated or not a model file ({error})") from error
    if header is None:
        raise CheckpointError(f"{path}: a safetensors file that Earmark did not write")
    try:
        data = json.loads(header)
    except ValueError as error:
        raise CheckpointError(f"{path}: altered since it was written ({error})") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: altered since it was written: its header is not an object")
    return tensors, data


def _fingerprint(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """First 16 hexadecimal digits of SHA-256 over configuration and tensors.

    The configuration is hashed as the file states it: later versions, which have more settings,
    compute the same fingerprint.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _storage_tensors(tensors: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The tensors as stored: weights in half precision if configured.

    The scaler and the mel filters stay in float32: rounding them changes quiet sounds.
    """
    exact = ("model.band_", "model.mel_filters", "background.")
    is_half = config.storage == "float16"
    return {
        name: tensor.half()
        if is_half and tensor.is_floating_point() and not name.startswith(exact)
        else tensor
        for name, tensor in tensors.items()
    }


def save(path: Path, checkpoint: Checkpoint) -> str:
    """Write the model to `path`, a file or a folder, and return its fingerprint.

    Raises CheckpointError.
    """
    file = path if path.suffix == ".safetensors" else path / FILE_NAME
    config, words = checkpoint.model.config, checkpoint.words
    if isinstance(words, SentenceVectors) != (config.words != "stored"):
        raise CheckpointError(f"words: expected {config.words} ones, got {type(words).__name__}")
    tensors = {
        f"model.{name}": tensor.detach().cpu()
        for name, tensor in checkpoint.model.state_dict().items()
    }
    others = word_arrays(words) | background_arrays(checkpoint.background)
    tensors |= {name: torch.from_numpy(array) for name, array in others.items()}
    tensors = _storage_tensors(tensors, config)
    header: dict[str, Any] = {
        "kind": "model",
        "format": FORMAT,
        "config": config.to_dict(),
        "vocabulary": checkpoint.vocabulary,
        "card": checkpoint.card,
        "fingerprint": _fingerprint(config.to_dict(), tensors),
    }
    if config.words != "stored":
        header["sentence_encoder"] = sentence_vectors.WEIGHTS_SHA256
    write_tensors(file, tensors, header)
    checkpoint.fingerprint = header["fingerprint"]
    return checkpoint.fingerprint


def replace_card(path: Path, card: Mapping[str, Any], out: Path | None = None) -> None:
    """Write the model at `path` with another card, to `out` or in place.

    All else stays as it is, with the fingerprint. Raises CheckpointError.
    """
    source, target = model_file(path), out or path
    tensors, header = read_tensors(source)
    file = target if target.suffix == ".safetensors" else target / FILE_NAME
    write_tensors(file, tensors, {**header, "card": dict(card)})


def load(path: Path) -> Checkpoint:
    """Load a model on the CPU, in evaluation mode.

    Raises CheckpointError if the file is missing, truncated, altered or of another format, or if
    a parameter does not fit the configuration (the message names it); WordsError if it names a
    sentence encoder that is not installed.
    """
    file = model_file(path)
    tensors, header = read_tensors(file)
    if header.get("kind") != "model" or header.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: expected a model of format {FORMAT}, got {header.get('kind')!r} "
            f"of format {header.get('format')!r}"
        )
    missing = {"config", "vocabulary", "card", "fingerprint"} - header.keys()
    if missing:
        raise CheckpointError(f"{file}: its header lacks {', '.join(sorted(missing))}")
    try:
        config = ModelConfig.from_dict(header["config"])
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from error
    fingerprint = _fingerprint(header["config"], tensors)
    if fingerprint != header["fingerprint"]:
        raise CheckpointError(
            f"{file}: altered since it was written: expected fingerprint "
            f"{header['fingerprint']}, got {fingerprint}"
        )
    others = {
        name: tensor.numpy() for name, tensor in tensors.items() if not name.startswith("model.")
    }
    words = read_words(file, others, config, header.get("sentence_encoder"))
    model = DualEncoder(config)
    weights = {
        name.removeprefix("model."): tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
        if name.startswith("model.")
    }
    load_strictly(model, weights, str(file))
    model.eval()
    background = read_background(file, others, config.dim)
    vocabulary, card = header["vocabulary"], header["card"]
    return Checkpoint(model, words, vocabulary, card, fingerprint, background)


def load_strictly(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load every parameter, or raise CheckpointError for the first that does not fit.

    `where`: the file, for the message.
    """
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        if name not in weights or name not in expected:
            state = "missing" if name not in weights else "unexpected"
            raise CheckpointError(f"{where}: parameter {name} is {state}")
        if weights[name].shape != expected[name].shape:
            raise CheckpointError(
                f"{where}: parameter {name}: expected shape {list(expected[name].shape)}, "
                f"got {list(weights[name].shape)}"
            )
    model.load_state_dict(dict(weights))
