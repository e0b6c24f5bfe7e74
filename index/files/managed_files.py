"""Sounds that a library keeps in a folder of its own: uploads, and those given with feedback.

A file and its mention in the catalogue come and go together, whenever the process ends. While they
are apart there is a mark of the file's name in `.pending`; marks that a dead process left are
resolved when the library is next opened: a file that the catalogue does not mention is removed.
Names are random: nothing a client says becomes part of a path.
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

PENDING = ".pending"
LOCK = "lock"
PART = ".part"
COPY_BYTES = 1 << 20


class Staged:
    """A sound on its way in: on disk, but not yet the library's. Close it in the end."""

    def __init__(self, files: OwnFiles, path: Path, leave: Callable[[], None]) -> None:
        self._files, self.path, self._leave = files, path, leave
        self._mark: Path | None = None
        self._settled = False

    def place(self) -> Path:
        """Give it its place and name; then the catalogue is to mention it. Raises StorageError."""
        with self._files.errors():
            with self.path.open("rb") as file:
                name = self.path.stem + suffix_of(file.read(HEAD))
            self._mark = self._files.mark(name)
            self.path = self.path.replace(self._files.folder / name)
            _to_disk(self._files.folder)
        return self.path

    def settle(self) -> None:
        """The catalogue mentions it: it stays."""
        self._settled = True

    def close(self) -> None:
        """Remove it where it has not been settled."""
        with contextlib.suppress(OSError):  # a mark that stays is resolved at the next start
            if not self._settled:
                self.path.unlink(missing_ok=True)
            if self._mark is not None:
                self._mark.unlink(missing_ok=True)
        self._leave()


class OwnFiles:
    """The folder `folder` (absolute) of a library's own sounds. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pending = folder / PENDING
        self._holding = 0
        self._lock = -1  # its descriptor, while something is under way
        self._changing = threading.Lock()

    def owns(self, path: str) -> bool:
        """Whether a path leads to a sound of this folder."""
        return Path(path).parent == self.folder

    def stage(self, file: IO[bytes]) -> Staged:
        """Copy a sound to disk. Raises StorageError, which leaves nothing behind."""
        path = self._pending / f"{secrets.token_hex(16)}{PART}"
        with self.errors():
            self._enter()
            try:
                with path.open("xb") as part:
                    shutil.copyfileobj(file, part, COPY_BYTES)
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                path.unlink(missing_ok=True)
                self._leave()
                raise
        return Staged(self, path, self._leave)

    @contextmanager
    def removing(self, names: list[str]) -> Iterator[None]:
        """Inside, the catalogue forgets these files; then they are removed. Raises StorageError."""
        with self.errors():
            self._enter()
            try:
                marks = [self.mark(name) for name in names]
            except BaseException:
                self._leave()
                raise
        try:
            yield
            with contextlib.suppress(OSError):  # a mark that stays is resolved at the next start
                for name, mark in zip(names, marks, strict=True):
                    (self.folder / name).unlink(missing_ok=True)
                    mark.unlink(missing_ok=True)
        finally:
            self._leave()

    def resolve(self, mentioned: Callable[[str], bool]) -> None:
        """Remove what a process that has ended left half done, unless another is at work here.

        `mentioned`: whether the catalogue mentions a file of that name.
        """
        if not self._pending.is_dir():
            return
        try:
            descriptor = os.open(self._pending / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return  # a library that may only be read
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for mark in sorted(self._pending.iterdir()):
                if mark.name == LOCK:
                    continue
                if mark.suffix != PART and not mentioned(mark.name):
                    (self.folder / mark.name).unlink(missing_ok=True)
                    log.warning("%s: removed, its adding was cut short", mark.name)
                mark.unlink(missing_ok=True)
        except OSError:
            return  # another process is at work, or the folder may only be read
        finally:
            os.close(descriptor)

    def mark(self, name: str) -> Path:
        """Note, on disk, that a file and the catalogue may disagree. Raises OSError."""
        mark = self._pending / name
        mark.touch(0o600)
        _to_disk(self._pending)
        return mark

    @contextmanager
    def errors(self) -> Iterator[None]:
        """The disk's own errors as StorageError, without the library's path."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"{self.folder.name}: {error.strerror}") from error

    def _enter(self) -> None:
        """Keep other processes from resolving what is under way. Raises OSError."""
        with self._changing:
            if not self._holding:
                self._pending.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(self._pending / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._lock = descriptor
            self._holding += 1

    def _leave(self) -> None:
        with self._changing:
            self._holding -= 1
            if not self._holding:
                os.close(self._lock)


def _to_disk(folder: Path) -> None:
    """See that the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
