"""The files of a CLAP model in a folder of Hugging Face's format, and of what Earmark adds to it.

Read without torch. `earmark.json` lies beside them where `earmark calibrate` wrote it: format 1 has
the fingerprint of the model that it is of, the vocabulary and its unit vectors, which take a
minute to compute, the card and the background. Arrays are base64 of float32, little-endian.
V = tags of the vocabulary, D = shared dimension.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from earmark.model.background import Background
from earmark.model.core.arrays import Array
from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import CheckpointError
from earmark.model.encoders import clap_front_end
from earmark.model.model_files import starter_model

CONFIG, WEIGHTS, OWN = "config.json", "model.safetensors", "earmark.json"
INDEX = "model.safetensors.index.json"  # of weights in several files
FEATURES, PROCESSOR = "preprocessor_config.json", "processor_config.json"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
BYTE_PAIRS = ("vocab.json", "merges.txt")  # a tokenizer in two files
FORMAT = 1
LANGUAGES = ("en",)  # of CLAP's captions
# Names of Hugging Face → SPDX; of others the letters of "cc" are capitals.
LICENCES = {"apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-3-clause": "BSD-3-Clause", "other": ""}


@dataclass(frozen=True)
class Own:
    """What Earmark adds to a model. `fingerprint`: of the model that it is of; `vectors` [V, D]."""

    fingerprint: str
    vocabulary: list[str]
    vectors: Array
    card: dict[str, Any] = field(default_factory=dict)
    background: Background | None = None


def is_clap(path: Path) -> bool:
    """Whether a path is a folder whose configuration says that it is of a CLAP model."""
    file = path / CONFIG
    if not file.is_file():
        return False
    try:
        return bool(_read_json(file).get("model_type") == "clap")
    except CheckpointError:
        return False


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the weights. Raises CheckpointError if there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        stated = _read_json(folder / INDEX).get("weight_map")
        if isinstance(stated, dict) and stated:
            names = sorted({str(name) for name in stated.values()})
            outside = next((name for name in names if Path(name).name != name), None)
            if outside is not None:
                raise CheckpointError(
                    f"{folder / INDEX}: expected names of files beside it, got {outside!r}"
                )
            return [folder / name for name in names]
    found = next((file.name for file in sorted(folder.glob("*.bin"))), "none")
    raise CheckpointError(
        f"{folder}: expected weights as {WEIGHTS}, got {found} (others can run code when they are "
        "read; docs/clap.md says how to convert them)"
    )


def check_tokenizer(folder: Path) -> None:
    """Raise CheckpointError without a tokenizer: transformers makes an empty one then, to which
    all phrases are the same."""
    is_whole = all((folder / name).is_file() for name in BYTE_PAIRS)
    if not is_whole and not (folder / TOKENIZER[0]).is_file():
        raise CheckpointError(
            f"{folder}: expected a tokenizer as {TOKENIZER[0]}, or as {' and '.join(BYTE_PAIRS)}, "
            "got none"
        )


def fingerprint_of(folder: Path) -> str:
    """First 16 hexadecimal digits of SHA-256 over configuration, weights, features and tokenizer,
    and over the version of the front end. Raises CheckpointError."""
    digest = hashlib.sha256(f"clap {clap_front_end.VERSION}\n".encode())
    named = (CONFIG, FEATURES, PROCESSOR, *TOKENIZER)
    files = [folder / name for name in named if (folder / name).is_file()]
    for file in (*files, *weight_files(folder)):
        try:
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise CheckpointError(f"{file}: cannot be read ({error.strerror})") from error
        digest.update(f"{file.name} {found}\n".encode())
    return digest.hexdigest()[:16]


def read_features(folder: Path) -> dict[str, Any]:
    """What the folder states of its features. Raises CheckpointError."""
    if (folder / FEATURES).is_file():
        return _read_json(folder / FEATURES)
    if (folder / PROCESSOR).is_file():  # as later versions of transformers write it
        stated = _read_json(folder / PROCESSOR).get("feature_extractor")
        if isinstance(stated, dict):
            return stated
    raise CheckpointError(f"{folder}: expected {FEATURES}, which says what the model hears")


def read_own(folder: Path, fingerprint: str, dim: int) -> Own | None:
    """What `write_own` wrote; None where there is nothing.

    Raises CheckpointError, also where it is of another model.
    """
    file = folder / OWN
    if not file.is_file():
        return None
    stated = _read_json(file)
    if stated.get("format") != FORMAT:
        raise CheckpointError(f"{file}: expected format {FORMAT}, got {stated.get('format')!r}")
    if stated.get("fingerprint") != fingerprint:
        raise CheckpointError(
            f"{file}: of the model {stated.get('fingerprint')}, but this one is {fingerprint}; "
            "remove it, and calibrate again"
        )
    vocabulary, card = stated.get("vocabulary"), stated.get("card")
    is_list = isinstance(vocabulary, list) and all(isinstance(tag, str) for tag in vocabulary)
    if not is_list or not isinstance(card, dict):
        raise CheckpointError(f"{file}: expected a list of tags, `vocabulary`, and a `card`")
    vocabulary = list(vocabulary or ())
    vectors = _decoded(file, stated, "vectors", (len(vocabulary), dim))
    background = stated.get("background")
    if background is not None:
        background = Background(
            _decoded(file, background, "mean", (dim,)),
            _decoded(file, background, "covariance", (dim, dim)),
        )
    return Own(fingerprint, vocabulary, vectors, card, background)


def write_own(folder: Path, own: Own) -> None:
    """Write what Earmark adds, whole or not at all. Raises CheckpointError."""
    background = own.background and {
        name: _encoded(values) for name, values in vars(own.background).items()
    }
    stated = {
        "format": FORMAT,
        "fingerprint": own.fingerprint,
        "vocabulary": own.vocabulary,
        "vectors": _encoded(own.vectors),
        "card": own.card,
        "background": background,
    }
    file = folder / OWN
    try:
        write_whole(file, [json.dumps(stated, sort_keys=True, indent=1).encode()])
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be written ({error.strerror})") from error


def _encoded(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _decoded(file: Path, stated: object, name: str, shape: tuple[int, ...]) -> Array:
    """An array in base64. Raises CheckpointError."""
    text = stated.get(name) if isinstance(stated, dict) else None
    try:
        values = np.frombuffer(base64.b64decode(str(text), validate=True), "<f4")
        return values.reshape(shape).astype(np.float32)
    except ValueError as error:
        raise CheckpointError(f"{file}: expected {name} of the shape {list(shape)}") from error


def head_of(folder: Path) -> dict[str, Any]:
    """The head of the folder's README.md; empty where it has none that can be read."""
    import yaml

    try:
        lines = (folder / "README.md").read_text(encoding="utf-8-sig").split("\n")
        if lines[0].strip() != "---":
            return {}
        end = [line.strip() for line in lines].index("---", 1)
        head = yaml.safe_load("\n".join(lines[1:end]))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return head if isinstance(head, dict) else {}


def licence_of(head: Mapping[str, Any]) -> str:
    """The licence that a head states (SPDX); "" for none."""
    stated = head.get("license")
    if not isinstance(stated, str):
        return ""
    return LICENCES.get(stated, stated.upper() if stated.startswith("cc") else stated)


def languages_of(head: Mapping[str, Any]) -> tuple[str, ...]:
    """The languages that a head states, English where it states none."""
    stated = head.get("language")
    listed = stated if isinstance(stated, list) else [stated]
    # YAML reads the name of Norwegian, `no`, as false.
    found = ["no" if language is False else language for language in listed]
    return tuple(language for language in found if isinstance(language, str)) or LANGUAGES


def starter_words() -> tuple[list[str], list[str]]:
    """(the tags of the model that ships, English words in order of frequency)."""
    with safetensors.safe_open(starter_model() / WEIGHTS, framework="numpy") as file:
        header = json.loads(file.metadata()["earmark"])
        text = bytes(file.get_tensor("words.text")).decode()
    return header["vocabulary"], text.split("\n")


def _read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises CheckpointError."""
    try:
        stated = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON") from error
    if not isinstance(stated, dict):
        raise CheckpointError(f"{file}: expected a JSON object, got {type(stated).__name__}")
    return stated
