"""A model as a folder of ONNX graphs, for computing without torch.

`export.safetensors` has all but the networks: its header's `earmark` entry is JSON with the kind
"onnx", the format version, the model's configuration, vocabulary, card, fingerprint and sentence
encoder, and the SHA-256 of each graph and of the tensors beside it. Tensors: `mel_filters`, words
and background (`model.model_arrays`). The graphs, of which a model that embeds only tags has the
last one (axes as in `model.encoders.earmark`):

- `audio.onnx`, for other programs: the samples of a sound → its vector, code and windows;
- `encoder.onnx`: `log_mel` [n, T, F] → `codes` [n, V], `steps` [n, S, V];
- `projection.onnx`: `codes` [n, V] → `phi` [n, D];
- `text.onnx`: `words` [B, N, F_w], `mask` [B, N] → `phi` [B, D], `vectors` [B, D] of length 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from earmark.model.background import Background
from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import CheckpointError, ConfigError
from earmark.model.model_arrays import (
    Arrays,
    background_arrays,
    read_background,
    read_words,
    word_arrays,
)
from earmark.model.model_files import FILE_NAME
from earmark.model.text.word_vectors import WordVectors

FORMAT = 1
EXPORT_NAME = "export.safetensors"
SUB_FOLDER = "onnx"  # of a model's folder, where its export is looked for
AUDIO, ENCODER, PROJECTION, TEXT = "audio.onnx", "encoder.onnx", "projection.onnx", "text.onnx"
ENTRIES: dict[str, type] = {  # of the header
    "config": dict,
    "vocabulary": list,
    "card": dict,
    "fingerprint": str,
    "sentence_encoder": str,
    "sha256": dict,
}


@dataclass(frozen=True)
class OnnxModel:
    """What a folder has: the graphs by name, and all between them and bytes or words."""

    graphs: dict[str, bytes]
    config: ModelConfig
    words: WordVectors
    mel_filters: Array
    fingerprint: str
    vocabulary: list[str]
    card: dict[str, Any]
    background: Background | None
    sentence_encoder: str


def is_export(path: Path) -> bool:
    """Whether a path is the folder of an export."""
    return (path / EXPORT_NAME).is_file()


def find_export(path: Path) -> Path | None:
    """The export that `path` is, or that lies in its sub-folder `onnx`; `path` may be a model's
    file. Raises ConfigError for one that is not of the model beside it."""
    if is_export(path):
        return path
    model = path / FILE_NAME if path.is_dir() else path
    folder = model.parent / SUB_FOLDER
    if not (path.exists() and is_export(folder)):
        return None
    if model.is_file():
        own, beside = _header(folder / EXPORT_NAME), _header(model)
        if own.get("fingerprint") != beside.get("fingerprint"):
            raise ConfigError(
                f"{folder}: an export of the model {own.get('fingerprint')}, beside the model "
                f"{beside.get('fingerprint')}"
            )
        if own.get("card") != beside.get("card"):
            raise ConfigError(f"{folder}: the model's card has changed since: export it again")
    return folder


def write_export(folder: Path, model: OnnxModel) -> None:
    """Write a folder, which must be new or empty, whole or not at all. Raises CheckpointError.

    Written where it will lie, as an empty folder may be the working one or a volume's, which
    cannot be replaced: it is an export only with its last file.
    """
    arrays: Arrays = {"mel_filters": model.mel_filters}
    arrays |= background_arrays(model.background)
    is_half = model.config.storage == "float16"
    for name, array in word_arrays(model.words).items():
        arrays[name] = array.astype("float16") if is_half and array.dtype.kind == "f" else array
    header = {
        "kind": "onnx",
        "format": FORMAT,
        "config": model.config.to_dict(),
        "vocabulary": model.vocabulary,
        "card": model.card,
        "fingerprint": model.fingerprint,
        "sentence_encoder": model.sentence_encoder,
        "sha256": {
            **{name: _sha256(graph) for name, graph in model.graphs.items()},
            "tensors": _sha256_of(arrays),
        },
    }
    data = safetensors.numpy.save(arrays, metadata={"earmark": json.dumps(header, sort_keys=True)})
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            if is_new:
                undo.callback(folder.rmdir)
            for name, part in {**model.graphs, EXPORT_NAME: data}.items():
                undo.callback((folder / name).unlink, missing_ok=True)
                write_whole(folder / name, [part])
            undo.pop_all()
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written ({error.strerror})") from error


def read_export(folder: Path) -> OnnxModel:
    """Read a folder. Raises CheckpointError if a file is missing, altered or of another format,
    and WordsError if it names a sentence encoder that is not installed."""
    file = folder / EXPORT_NAME
    header = _header(file)
    if header.get("kind") != "onnx" or header.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: expected an ONNX export of format {FORMAT}, got {header.get('kind')!r} "
            f"of format {header.get('format')!r}"
        )
    if missing := ENTRIES.keys() - header.keys():
        raise CheckpointError(f"{file}: its header lacks {', '.join(sorted(missing))}")
    if wrong := [name for name, kind in ENTRIES.items() if not isinstance(header[name], kind)]:
        raise CheckpointError(f"{file}: altered since it was written: its {', '.join(wrong)}")
    try:
        config = ModelConfig.from_dict(header["config"])
    except ConfigError as error:
        raise CheckpointError(f"{file}: {error}") from error
    hashes = header["sha256"]
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            arrays: Arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, TypeError) as error:  # of types that numpy has not
        raise CheckpointError(f"{file}: altered since it was written") from error
    if _sha256_of(arrays) != hashes.get("tensors") or "mel_filters" not in arrays:
        raise CheckpointError(f"{file}: altered since it was written")
    expected = (config.features.n_mels, config.features.n_fft // 2 + 1)
    if arrays["mel_filters"].shape != expected:
        raise CheckpointError(
            f"{file}: mel_filters: expected the shape {list(expected)}, "
            f"got {list(arrays['mel_filters'].shape)}"
        )
    return OnnxModel(
        graphs=_read_graphs(folder, config, hashes),
        config=config,
        words=read_words(file, arrays, config, header["sentence_encoder"]),
        mel_filters=arrays["mel_filters"],
        fingerprint=header["fingerprint"],
        vocabulary=header["vocabulary"],
        card=header["card"],
        background=read_background(file, arrays, config.dim),
        sentence_encoder=header["sentence_encoder"],
    )


def can_hear(config: ModelConfig) -> bool:
    """Whether a model embeds sounds, so that its export has all graphs."""
    return config.hears and config.scaler_known


def _read_graphs(folder: Path, config: ModelConfig, hashes: Mapping[str, str]) -> dict[str, bytes]:
    """The graphs of a folder. Raises CheckpointError."""
    graphs = {}
    for name in (AUDIO, ENCODER, PROJECTION, TEXT) if can_hear(config) else (TEXT,):
        try:
            graphs[name] = (folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{folder / name}: {error.strerror}") from error
        if _sha256(graphs[name]) != hashes.get(name):
            raise CheckpointError(f"{folder / name}: altered since it was written")
    return graphs


def _header(file: Path) -> dict[str, Any]:
    """Of a safetensors file of ours. Raises CheckpointError."""
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            header = json.loads((opened.metadata() or {}).get("earmark", "null"))
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file}: truncated or altered since it was written") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{file}: a safetensors file that Earmark did not write")
    return header


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha256_of(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
