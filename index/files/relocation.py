"""Paths of uploads after their library moved, or was copied, to another folder.

The catalogue stores the folder of uploads. A library that is opened elsewhere updates the clips'
paths.
"""

from __future__ import annotations

import logging
from pathlib import Path

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import printable_path
from earmark.index.errors import StorageError

log = logging.getLogger(__name__)

_KEY = "uploads"


def record_uploads_folder(catalogue: Catalogue, folder: Path) -> None:
    """Store the folder of uploads, unless it is stored already. Raises StorageError."""
    if str(folder) != printable_path(folder):
        raise StorageError("uploads: the library's path is not UTF-8: rename its folder")
    if _stored_folder(catalogue) != str(folder):
        with catalogue.database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_KEY, str(folder)))


def update_upload_paths(catalogue: Catalogue, folder: Path) -> None:
    """Update the paths of uploads to `folder`, if it exists and they were elsewhere."""
    before = _stored_folder(catalogue)
    if before in ("", str(folder)) or not folder.is_dir():
        return
    try:
        with catalogue.write() as writer:
            count = writer.relocate(before, str(folder))
        record_uploads_folder(catalogue, folder)
    except StorageError as error:  # a read-only library: its uploads cannot be played
        log.warning("uploads: the library has moved, but their paths cannot be updated (%s)", error)
    else:
        log.info("uploads: updated the paths of %d clips, as the library has moved", count)


def _stored_folder(catalogue: Catalogue) -> str:
    found = catalogue.database.query("SELECT value FROM meta WHERE key = ?", (_KEY,))
    return str(found[0][0]) if found else ""
