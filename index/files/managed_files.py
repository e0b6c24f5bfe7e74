"""Sound files that a library stores in its own folders: uploads, and sounds with feedback.

A file and its catalogue entry are created and deleted together, even if the process is killed.
While only one of them exists, a marker with the file's name lies in `.pending`. Markers of a killed
process are resolved when the library is next opened: a file without a catalogue entry is deleted.
File names are random: no part of a path comes from a client.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from earmark.index.errors import StorageError
from earmark.model.audio.formats import HEAD, suffix_of

log = logging.getLogger(__name__)

PENDING = ".pending"  # folder of markers and of unfinished copies
LOCK = "lock"
PART = ".part"  # suffix of an unfinished copy
COPY_BYTES = 1 << 20


class StagedFile:
    """A file on disk that is not yet part of the library. It must be closed."""

    def __init__(self, files: ManagedFiles, path: Path, release: Callable[[], None]) -> None:
        self._files, self.path, self._release = files, path, release
        self._marker: Path | None = None
        self._committed = False

    def place(self) -> Path:
        """Move it to its final path; the catalogue entry follows. Raises StorageError."""
        with self._files.translate_errors():
            name = file_name(self.path.stem, self.path)
            self._marker = self._files.add_marker(name)
            self.path = self.path.replace(self._files.folder / name)
            sync_folder(self._files.folder)
        return self.path

    def commit(self) -> None:
        """Keep the file: the catalogue has its entry."""
        self._committed = True

    def close(self) -> None:
        """Delete the file unless it was committed."""
        with contextlib.suppress(OSError):  # a marker that stays is resolved at the next start
            if not self._committed:
                self.path.unlink(missing_ok=True)
            if self._marker is not None:
                self._marker.unlink(missing_ok=True)
        self._release()


class ManagedFiles:
    """A folder (absolute path) of sounds that a library stores. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending = folder / PENDING
        self._users = 0  # operations in progress
        self._lock = -1  # the lock file's descriptor while there are any
        self._counting = threading.Lock()

    def contains(self, path: str) -> bool:
        """Whether a path is of a file in this folder."""
        return Path(path).parent == self.folder

    def stage(self, file: IO[bytes]) -> StagedFile:
        """Copy a file to disk. Raises StorageError, which leaves nothing behind."""
        path = self._pending / f"{secrets.token_hex(16)}{PART}"
        with self.translate_errors():
            self._acquire()
            try:
                with path.open("xb") as part:
                    shutil.copyfileobj(file, part, COPY_BYTES)
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                self._release()
                raise
        return StagedFile(self, path, self._release)

    def adopt(self, path: Path, stem: str) -> StagedFile:
        """Stage a file that is on disk already, to be placed under a name with this stem.

        It stays at its path as well: a hard link, or a copy where the disk has no links.
        Raises StorageError, which leaves nothing behind.
        """
        staged = self._pending / f"{stem}{PART}"
        with self.translate_errors():
            self._acquire()
            try:
                staged.unlink(missing_ok=True)  # of a process that has ended
                try:
                    staged.hardlink_to(path)
                except OSError:
                    shutil.copyfile(path, staged)
            except BaseException:
                self._release()
                raise
        return StagedFile(self, staged, self._release)

    @contextmanager
    def removing(self, names: list[str]) -> Iterator[None]:
        """A context that deletes files once its body has removed their catalogue entries.

        Raises StorageError.
        """
        with self.translate_errors():
            self._acquire()
            try:
                markers = [self.add_marker(name) for name in names]
            except BaseException:
                self._release()
                raise
        try:
            yield
            with contextlib.suppress(OSError):  # a marker that stays is resolved at the next start
                for name, marker in zip(names, markers, strict=True):
                    (self.folder / name).unlink(missing_ok=True)
                    marker.unlink(missing_ok=True)
        finally:
            self._release()

    def resolve(self, has_entry: Callable[[str], bool]) -> None:
        """Resolve the markers of killed processes, unless another process works in this folder.

        `has_entry`: whether the catalogue has an entry for a file name.
        """
        if not self._pending.is_dir():
            return
        try:
            descriptor = os.open(self._pending / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return  # a read-only library
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for marker in sorted(self._pending.iterdir()):
                if marker.name == LOCK:
                    continue
                if marker.suffix != PART and not has_entry(marker.name):
                    (self.folder / marker.name).unlink(missing_ok=True)
                    log.warning("%s: deleted, its upload was interrupted", marker.name)
                marker.unlink(missing_ok=True)
        except OSError:
            return  # another process works here, or the folder is read-only
        finally:
            os.close(descriptor)

    def add_marker(self, name: str) -> Path:
        """Mark on disk that a file and its catalogue entry may disagree. Raises OSError."""
        marker = self._pending / name
        marker.touch(0o600)
        sync_folder(self._pending)
        return marker

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise OSError as StorageError, without the library's path."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self.folder.name}: {error.strerror}") from error

    def _acquire(self) -> None:
        """Keep other processes from resolving markers meanwhile. Raises OSError."""
        with self._counting:
            if not self._users:
                self._pending.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._pending / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._lock = descriptor
            self._users += 1

    def _release(self) -> None:
        with self._counting:
            self._users -= 1
            if not self._users:
                os.close(self._lock)


def file_name(stem: str, path: Path) -> str:
    """The name with this stem that the file at `path` gets: its suffix tells its format.

    Raises OSError.
    """
    with path.open("rb") as file:
        return stem + suffix_of(file.read(HEAD))


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
