"""Maintenance of a library: backup, moved sounds, another vector store."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.index.catalogue.embedded_sound import printable_path
from earmark.index.errors import LibraryError, StorageError
from earmark.index.files.managed_files import PENDING
from earmark.index.files.paths import is_file, real_folder
from earmark.index.library import FEEDBACK, SNAPSHOT, UPLOADS
from earmark.index.stores.factory import catch_up, open_store
from earmark.model.cloud.cloud_file import CloudFile, StoredFile

SAMPLE_CLIPS = 50  # clips that a new store must find
MIN_SCORE = 0.99  # of a clip found by its own vector, or of a duplicate
MAX_ATTEMPTS = 20  # at catching up with concurrent writers


def back_up(folder: Path, to: Path) -> int:
    """Copy a library into a new folder, while others use it. Returns the clips in the copy.

    The copy is a complete library: to restore it, open it. It contains the uploaded sounds; all
    other sounds stay where they are.
    Raises LibraryError if the folder has a library already, StorageError.
    """
    file = to / FILE_NAME
    if is_file(file):
        raise LibraryError(f"to: expected a folder without a library, got {to}")
    unfinished = to / f"{FILE_NAME}.part"
    with closing(Catalogue.open(folder)) as catalogue:
        try:
            to.mkdir(parents=True, exist_ok=True)
            unfinished.unlink(missing_ok=True)
            catalogue.back_up(unfinished)
            for subfolder in (UPLOADS, FEEDBACK):
                _copy(folder / subfolder, to / subfolder)
            unfinished.replace(file)
        except OSError as error:
            raise StorageError(f"library {to}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    with closing(Catalogue.open(to)) as copy:
        return copy.count()


def _copy(folder: Path, to: Path) -> None:
    """Copy the files that a library stores itself, without unfinished ones. Raises OSError."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        if name != PENDING:
            to.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # removed meanwhile
                shutil.copy2(folder / name, to / name)


def relocate(folder: Path, old: StoredFile, new: StoredFile) -> int:
    """Update the paths of sounds that moved from the folder `old` to `new`. Returns their number.

    `old` may be spelled as the catalogue has it, or lead there by links. Both may be addresses.
    Raises LibraryError if no sound has a path under `old`, or one already has the new path.
    """
    for name, path in (("old", old), ("new", new)):
        if str(path) != printable_path(path):
            raise LibraryError(f"{name}: expected a path in UTF-8, got {printable_path(path)}")
    with closing(Catalogue.open(folder)) as catalogue, catalogue.write() as writer:
        there = str(new if isinstance(new, CloudFile) else real_folder(new))
        for spelled in _spellings(old):
            if count := writer.relocate(spelled, there):
                return count
        raise LibraryError(f"old: expected a folder of sounds of {folder}, got {old}")


def _spellings(folder: StoredFile) -> list[str]:
    if isinstance(folder, CloudFile):
        return [str(folder)]
    places = (_absolute(folder), real_folder(folder.parent) / folder.name, real_folder(folder))
    return list(map(str, places))


def _absolute(path: Path) -> Path:
    """The absolute path as it is written: its links may lead elsewhere by now."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def migrate(folder: Path, to: str) -> int:
    """Move a library's vectors to another store: "faiss", or the address of a Milvus.

    The catalogue switches once the new store has every clip and finds a sample of them. Until then,
    and in processes that have the library open, the old store serves. Returns the clips moved.
    Raises LibraryError, StorageError.
    """
    with closing(Catalogue.open(folder)) as catalogue:
        with closing(open_store(catalogue, to)) as store:
            store.load(folder / SNAPSHOT)
            for _ in range(MAX_ATTEMPTS):
                catch_up(store, catalogue)
                count = catalogue.count()
                if store.generation == int(catalogue.meta("generation")):
                    break
            else:
                raise StorageError(f"library {folder}: others write faster than {to} can follow")
            store.wait_until_idle()
            rows = np.linspace(1, catalogue.last_row(), SAMPLE_CLIPS).astype(int).tolist()
            sample = catalogue.vectors(rows).values()
            lost = sum(
                not len(store.search(vector, 1, min_score=MIN_SCORE)[0]) for vector in sample
            )
            if len(store) != count or lost > len(sample) // 10:
                raise StorageError(
                    f"library {folder}: {to} holds {len(store)} of {count} clips and does not "
                    f"find {lost} of {len(sample)}: the library stays where it was"
                )
            store.save(folder / SNAPSHOT)
        with catalogue.write() as writer:
            writer.set_store(to)
        return count
