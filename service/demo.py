"""The default library: the demo sounds that ship with Earmark."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import platformdirs

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.embedder import Embedder


def demo_sounds() -> Path:
    """The folder of the demo sounds and their manifest."""
    return Path(str(files("earmark.index.demo")))


def open_library(folder: Path | None, embedder: Embedder, *, create: bool = False) -> Library:
    """The library in `folder`, or the demo library, whose sounds are embedded on first use.

    The demo library lies in the user's data folder, under a separate name for each model and each
    copy of the sounds, so it never needs migration.
    """
    if folder is not None:
        return Library.open(folder, embedder, create=create)
    manifest = demo_sounds() / "manifest.csv"
    key = f"{embedder.fingerprint} {manifest}".encode() + manifest.read_bytes()
    name = f"demo-{hashlib.sha256(key).hexdigest()[:12]}"
    library = Library.open(
        Path(platformdirs.user_data_dir("earmark")) / name, embedder, create=True
    )
    if library.catalogue.count() < len(manifest.read_text(encoding="utf-8").splitlines()) - 1:
        add(library, [manifest])
        library.refresh()
    return library
