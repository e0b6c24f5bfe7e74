"""A model's folder → the encoder that it is of."""

from __future__ import annotations

from pathlib import Path

from earmark.model.embedder import Embedder
from earmark.model.model_files import starter_model


def load_embedder(path: Path | None = None, device: str = "cpu") -> Embedder:
    """From a model's file or folder; the model that ships for None.

    Raises CheckpointError, ConfigError, and WordsError where a package that it needs is missing.
    """
    path = path or starter_model()
    from earmark.model.encoders.dual import DualEmbedder

    return DualEmbedder.load(path, device)
