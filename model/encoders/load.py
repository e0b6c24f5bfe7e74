"""A model's folder → the encoder that it is of."""

from __future__ import annotations

import os
from pathlib import Path

from earmark.model.core.errors import ConfigError
from earmark.model.core.threads import one_thread
from earmark.model.embedder import Embedder
from earmark.model.encoders.clap_files import is_clap
from earmark.model.encoders.onnx_folder import SUB_FOLDER, find_export, is_export
from earmark.model.model_files import starter_model

RUNTIMES = ("", "torch", "onnx")
RUNTIME_VARIABLE = "EARMARK_RUNTIME"


def load_embedder(
    path: Path | None = None, device: str = "cpu", runtime: str | None = None
) -> Embedder:
    """From a model's file or folder, or an export's; the model that ships for None.

    `runtime`: "torch" or "onnx", where it must be that one; "" for what the files are of; None for
    what the environment says. Raises CheckpointError, ConfigError, and WordsError where a package
    that it needs is missing.
    """
    path = path or starter_model()
    runtime = os.environ.get(RUNTIME_VARIABLE, "") if runtime is None else runtime
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime: expected torch or onnx, got {runtime!r}")
    if runtime == "onnx":
        return _load_onnx(_required_export(path), device)
    if is_export(path):
        if runtime == "torch":
            raise ConfigError(f"runtime: expected a model for torch, got the ONNX export {path}")
        return _load_onnx(path, device)
    return _load_torch(path, device)


def is_one_file(path: Path) -> bool:
    """Whether a model is one file, as a CLAP model and an ONNX export are not."""
    return not (is_clap(path) or is_export(path))


def _required_export(path: Path) -> Path:
    """The export that a path leads to. Raises ConfigError."""
    folder = find_export(path)
    if folder is None and is_clap(path):
        raise ConfigError(f"runtime: expected torch for a CLAP model, got onnx for {path}")
    if folder is None:
        raise ConfigError(
            f"runtime: expected an ONNX export in {path}, or in {SUB_FOLDER}/ there: make one by "
            f"`earmark export onnx --model {path} --out DIR`, and name it as the model"
        )
    return folder


def _load_onnx(folder: Path, device: str) -> Embedder:
    """Raises CheckpointError, ConfigError, WordsError."""
    if device != "cpu":
        raise ConfigError(f"device: expected cpu for an ONNX export, got {device!r}")
    try:
        from earmark.model.encoders.onnx import OnnxEmbedder
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise ConfigError("an ONNX export: needs `pip install 'earmark[onnx]'`") from error
    return OnnxEmbedder.load(folder)


def _load_torch(path: Path, device: str) -> Embedder:
    """Raises CheckpointError, ConfigError, WordsError."""
    try:
        from earmark.model.encoders.clap import ClapEmbedder
        from earmark.model.encoders.dual import DualEmbedder
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            f"model: needs torch, which is not installed, or an ONNX export; got {path}"
        ) from error
    with one_thread():  # a team of threads cannot be forked
        return (ClapEmbedder if is_clap(path) else DualEmbedder).load(path, device)
