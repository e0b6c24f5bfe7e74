"""The default library: the demo sounds that ship with Earmark."""

from __future__ import annotations

import atexit
import hashlib
import logging
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

import platformdirs

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.embedder import Embedder

log = logging.getLogger(__name__)


def demo_sounds() -> Path:
    """The folder of the demo sounds and their manifest."""
    return Path(str(files("earmark.index.demo")))


def open_library(folder: Path | None, embedder: Embedder, *, create: bool = False) -> Library:
    """The library in `folder`, or the demo library, whose sounds are embedded on first use.

    The demo library lies in the user's data folder, under a separate name for each model and each
    copy of the sounds, so it never needs migration. Where that folder cannot be written to, the
    library lies in a temporary one as long as this process lives.
    """
    if folder is not None:
        return Library.open(folder, embedder, create=create)
    manifest = demo_sounds() / "manifest.csv"
    key = f"{embedder.fingerprint} {manifest}".encode() + manifest.read_bytes()
    name = f"demo-{hashlib.sha256(key).hexdigest()[:12]}"
    library = Library.open(_data_folder() / name, embedder, create=True)
    if library.catalogue.count() < len(manifest.read_text(encoding="utf-8").splitlines()) - 1:
        add(library, [manifest])
        library.refresh()
    return library


def _data_folder() -> Path:
    """The user's data folder, or a temporary one that this process removes at its end."""
    folder = Path(platformdirs.user_data_dir("earmark"))
    try:
        if not folder.is_absolute():  # nobody knows the user's home
            raise FileNotFoundError("no home")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        temporary = Path(tempfile.mkdtemp(prefix="earmark-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        log.warning(
            "%s cannot be written to (%s): the demo library is in %s, until this process ends",
            folder, error.strerror or error, temporary,
        )  # fmt: skip
        return temporary
    return folder
