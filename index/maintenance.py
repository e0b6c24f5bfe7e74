"""Keeping a library over the years: copies, sounds that moved, another vector store."""

from __future__ import annotations

import os
import shutil
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.index.errors import LibraryError, StorageError
from earmark.index.files.managed_files import PENDING
from earmark.index.library import FEEDBACK, SNAPSHOT, UPLOADS
from earmark.index.stores.factory import catch_up, open_store

SAMPLE_CLIPS = 50  # clips that a new store must find again
MIN_SCORE = 0.99  # least score of a clip's own vector, or of a twin's
MAX_ATTEMPTS = 20  # to catch up with those who write


def back_up(folder: Path, to: Path) -> int:
    """Copy a library, while others use it, into a new folder. Returns the clips in the copy.

    The copy is a library like any other: to restore it is to open it. Sounds that were uploaded
    are in it, all others stay where they are.
    Raises LibraryError where there is one already, StorageError.
    """
    file = to / FILE_NAME
    if file.exists():
        raise LibraryError(f"to: expected a folder without a library, got {to}")
    unfinished = to / f"{FILE_NAME}.part"
    with closing(Catalogue.open(folder)) as catalogue:
        try:
            to.mkdir(parents=True, exist_ok=True)
            unfinished.unlink(missing_ok=True)
            catalogue.back_up(unfinished)
            for own in (UPLOADS, FEEDBACK):
                _copy(folder / own, to / own)
            unfinished.replace(file)
        except OSError as error:
            raise StorageError(f"library {to}: {error.strerror}") from error
        finally:
            with suppress(NotADirectoryError):
                unfinished.unlink(missing_ok=True)
    with closing(Catalogue.open(to)) as copy:
        return copy.count()


def _copy(own: Path, to: Path) -> None:
    """A library's own sounds, but for those under way. Raises OSError."""
    names = sorted(each.name for each in own.iterdir()) if own.is_dir() else []
    for name in names:
        if name != PENDING:
            to.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # removed meanwhile
                shutil.copy2(own / name, to / name)


def relocate(folder: Path, old: Path, new: Path) -> int:
    """Take note that the sounds under `old` now lie under `new`. Returns how many clips.

    Raises LibraryError where the library holds no sound of `old`, or holds one of `new` already.
    """
    with closing(Catalogue.open(folder)) as catalogue:
        with catalogue.write() as writer:
            count = writer.relocate(os.path.abspath(old), os.path.abspath(new))  # noqa: PTH100 (as it is written)
        if not count:
            raise LibraryError(f"old: expected a folder of sounds of {folder}, got {old}")
        return count


def migrate(folder: Path, to: str) -> int:
    """Move a library's vectors to another store: "faiss", or a Milvus' address.

    The catalogue changes over when the new store holds every clip and finds a sample of them;
    until then, and wherever it is open, the old one serves. Returns the clips moved.
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
                raise StorageError(f"library {folder}: others write faster than {to} takes in")
            store.wait_until_idle()
            places = np.linspace(1, catalogue.last_row(), SAMPLE_CLIPS).astype(int).tolist()
            sample = catalogue.vectors(places).values()
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
