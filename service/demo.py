"""The library that is used when none is named: one of the demo sounds that ship."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path

import platformdirs

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.embedder import Embedder


def demo_sounds() -> Path:
    """The folder of the sounds that ship, with their manifest."""
    return Path(str(files("earmark.index.demo")))


def open_library(folder: Path | None, embedder: Embedder, *, create: bool = False) -> Library:
    """The library in `folder`, or that of the demo sounds, embedded on first use.

    The demo library lives in the user's data folder, under a name of its own for each model
    and each copy of the sounds, so it never has to be mended.
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
