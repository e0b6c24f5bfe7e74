"""Sounds whose files are gone: found, counted, and removed from the library.

A file counts as gone only where the system says that nothing is there; a folder that may not be
searched, or a disk that does not answer, says nothing. A folder without any of its sounds may be a
disk that is not mounted: those are kept apart. Stores are asked only where somebody wants to remove
what is missing: their folders are listed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.files.paths import displaced_path, from_printable, is_gone, own_path
from earmark.model.cloud.addresses import is_address
from earmark.model.cloud.cloud_file import CloudFile, entries_in
from earmark.model.core.errors import EarmarkError, InputError

log = logging.getLogger(__name__)

BATCH = 2_000  # clips looked for at a time
PAUSE = 60.0  # seconds between two checks, at least
PAUSE_CHANGED = 5.0  # the same, where the library has changed meanwhile
PATIENCE = 2.0  # seconds that the first caller waits for the first check
MAX_LISTED = 50  # missing sounds of a `MissingSummary`


@dataclass(frozen=True)
class MissingSound:
    """A clip whose file is gone: its id, its title, and the path where the file was."""

    id: str
    title: str
    path: str


@dataclass(frozen=True)
class MissingSummary:
    """How many sounds have no file, and the first of them in the order they were added."""

    total: int
    first: tuple[MissingSound, ...]


class Cancelled(Exception):
    """The check was ended before it was over."""


def find_missing(
    catalogue: Catalogue, cancelled: threading.Event | None = None
) -> Iterator[MissingSound]:
    """The sounds whose files are gone, in the order they were added.

    Asks the disk for each: about a second for 100,000 on a local one. Raises StorageError, and
    Cancelled.
    """
    for clips in catalogue.iter_paths(BATCH):
        if cancelled is not None and cancelled.is_set():
            raise Cancelled
        for clip_id, title, path in clips:
            if is_gone(path):
                yield MissingSound(clip_id, title, own_path(path, clip_id))


def summary_of(missing: Iterable[MissingSound]) -> MissingSummary:
    """The summary of missing sounds."""
    rest = iter(missing)
    first = tuple(islice(rest, MAX_LISTED))
    return MissingSummary(len(first) + sum(1 for _ in rest), first)


class MissingMonitor:
    """Keeps the summary of a library's missing sounds, for many callers.

    The disk is asked in a thread, once in `PAUSE` seconds at most, and only while somebody wants to
    know: a disk that does not answer holds up nobody. Safe to share between threads.
    """

    def __init__(
        self, catalogue: Catalogue, pause: float = PAUSE, pause_changed: float = PAUSE_CHANGED
    ) -> None:
        self._catalogue, self._pause, self._pause_changed = catalogue, pause, pause_changed
        self._latest: MissingSummary | None = None
        self._begun, self._generation = -pause, ""  # of the last check
        self._thread: threading.Thread | None = None
        self._lock, self._cancelled = threading.Lock(), threading.Event()
        self._known = threading.Event()

    def get(self) -> MissingSummary | None:
        """The summary of the last check, which may begin a new one; None before the first is over.

        Waits for the first check only, and not for long.
        """
        generation = self._catalogue.meta("generation")
        with self._lock:
            is_checking = self._thread is not None and self._thread.is_alive()
            pause = self._pause if generation == self._generation else self._pause_changed
            is_due = time.monotonic() >= self._begun + pause
            if is_due and not is_checking and not self._cancelled.is_set():
                self._begun, self._generation = time.monotonic(), generation
                self._thread = threading.Thread(target=self._check, name="missing", daemon=True)
                self._thread.start()
        if not self._known.is_set() and not self._cancelled.is_set():
            self._known.wait(PATIENCE)
        return self._latest

    def close(self) -> None:
        """Begin no more checks, and end the current one unless the disk does not answer."""
        with self._lock:
            self._cancelled.set()
            thread = self._thread
        if thread is not None:
            thread.join(PATIENCE)

    def _check(self) -> None:
        try:
            self._latest = summary_of(find_missing(self._catalogue, self._cancelled))
            self._known.set()
        except Cancelled:
            return
        except EarmarkError as error:
            log.warning("missing sounds could not be counted: %s", error)


@dataclass(frozen=True)
class Prunable:
    """Missing sounds. `files`: those beside others that are there; `folders`: those of folders in
    which no sound of the library is left, by folder."""

    files: list[MissingSound]
    folders: dict[str, list[MissingSound]]


def find_prunable(catalogue: Catalogue) -> Prunable:
    """The missing sounds, apart where a whole folder is missing. Raises StorageError."""
    missing = list(find_missing(catalogue))
    gone = {sound.id for sound in missing}
    alive: set[PurePath] = set()  # folders with a sound in them or below
    for clips in catalogue.iter_paths(BATCH):
        for clip_id, _, path in clips:
            folder = PurePath(path).parent
            while clip_id not in gone and folder not in alive:
                alive.add(folder)
                folder = folder.parent
    by_folder: dict[PurePath, list[MissingSound]] = defaultdict(list)
    for sound in missing:
        by_folder[PurePath(sound.path).parent].append(sound)
    files: list[MissingSound] = []
    lost: dict[PurePath, list[MissingSound]] = defaultdict(list)
    for folder, sounds in by_folder.items():
        if folder in alive:
            files += sounds
        else:
            lost[_lost_folder(folder, alive)] += sounds
    folders = {_common_folder(sounds): sounds for sounds in lost.values()}
    in_stores = _prunable_of_stores(catalogue)
    return Prunable(files + in_stores.files, folders | in_stores.folders)


def _prunable_of_stores(catalogue: Catalogue) -> Prunable:
    """The same of addresses. What cannot be listed is not missing."""
    by_folder: dict[str, list[MissingSound]] = defaultdict(list)
    for clips in catalogue.iter_paths(BATCH):
        for clip_id, title, path in clips:
            if is_address(path):
                own = own_path(path, clip_id)
                by_folder[own.rpartition("/")[0]].append(MissingSound(clip_id, title, own))
    files: list[MissingSound] = []
    folders: dict[str, list[MissingSound]] = {}
    for folder, sounds in by_folder.items():
        try:
            there = {str(entry.file) for entry in entries_in(folder)}
        except FileNotFoundError:
            there = set()
        except (OSError, InputError) as error:
            log.warning("%s: cannot be listed (%s)", folder, getattr(error, "strerror", error))
            continue
        missing = [sound for sound in sounds if sound.path not in there]
        if len(missing) < len(sounds):
            files += missing
        elif missing:
            folders[folder] = missing
    return Prunable(files, folders)


def _is_gone_now(path: str) -> bool:
    """As `is_gone`; a store is asked."""
    if not is_address(path):
        return is_gone(path)
    try:
        CloudFile(path).stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _lost_folder(folder: PurePath, alive: Collection[PurePath]) -> PurePath:
    """The highest folder above that is gone too, or the first that is there, such as a mount
    point; never one with sounds in it."""
    while is_gone(str(folder)):
        above = folder.parent
        if above in alive or above == above.parent:
            break
        folder = above
    return folder


def _common_folder(sounds: Sequence[MissingSound]) -> str:
    return os.path.commonpath([PurePath(sound.path).parent for sound in sounds])


def remove_missing(catalogue: Catalogue, sounds: Sequence[MissingSound]) -> int:
    """Remove clips whose files are still missing, in one transaction. Returns their number.

    Raises StorageError.
    """
    gone = [
        (sound.id, path)
        for sound in sounds
        for path in (sound.path, displaced_path(sound.path, sound.id))
        if _is_gone_now(path)
    ]
    with catalogue.write() as writer:
        return sum(writer.remove_at(*place) for place in gone)


def forget_failures(catalogue: Catalogue, kept: Collection[str] = ()) -> int:
    """Forget the failures of files that are gone, except in the folders `kept`. Returns their
    number. Raises StorageError."""
    in_kept = set(catalogue.failures_under(list(kept)))
    gone = [
        path
        for path in catalogue.failures()
        if path not in in_kept and is_gone(from_printable(path))
    ]
    if gone:
        with catalogue.write() as writer:
            for path in gone:
                writer.forget_failure(path)
    return len(gone)
