"""Uploads when their library's folder has moved, or was copied: their paths follow it.

The catalogue remembers where its folder of uploads was; where a library is opened with one
elsewhere, the clips' paths are made to lead there.
"""

from __future__ import annotations

import logging
from pathlib import Path

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import StorageError

log = logging.getLogger(__name__)

_KEY = "uploads"


def remember(catalogue: Catalogue, folder: Path) -> None:
    """Note where the uploads are, unless that is known. Raises StorageError."""
    if _known(catalogue) != str(folder):
        with catalogue.database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, str(folder)))


def follow(catalogue: Catalogue, folder: Path) -> None:
    """Let the paths of uploads lead to `folder`, where there is one and they led elsewhere."""
    before = _known(catalogue)
    if before in ("", str(folder)) or not folder.is_dir():
        return
    try:
        with catalogue.write() as writer:
            count = writer.relocate(before, str(folder))
        remember(catalogue, folder)
    except StorageError as error:  # it may only be read: its uploads cannot be played
        log.warning("uploads: they have moved, but this cannot be noted (%s)", error)
    else:
        log.info("uploads: %d clips have moved with their library", count)


def _known(catalogue: Catalogue) -> str:
    found = catalogue.database.query("SELECT value FROM meta WHERE key = ?", (_KEY,))
    return str(found[0][0]) if found else ""
