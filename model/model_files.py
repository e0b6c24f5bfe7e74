"""Where models lie."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from earmark.model.core.errors import CheckpointError

FILE_NAME = "model.safetensors"


def starter_model() -> Path:
    """The folder of the model that ships with Earmark."""
    return Path(str(files("earmark.model.starter")))


def model_file(path: Path) -> Path:
    """The model file that `path` is or that lies in it. Raises CheckpointError if there is none."""
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise CheckpointError(f"model: expected a model file or its folder, got {path}")
    return file
