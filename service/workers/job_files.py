"""The sounds of jobs on disk, and the lock of each job.

The sounds of a job lie in `jobs/ID/` in the library's folder, named by their numbers, until the job
is over. Beside them is the file `lock`, which is locked (flock) by the process that stages or runs
the job. The system releases the lock when that process ends, even if it is killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from earmark.index.errors import StorageError
from earmark.index.files.managed_files import sync_folder

FOLDER, LOCK = "jobs", "lock"
COPY_BYTES = 1 << 20
STAGING_SECONDS = 60.0  # before a folder without a job is taken for one left by a dead process


class JobFiles:
    """The folder `jobs` of the library in `library_folder`, made with the first job."""

    def __init__(self, library_folder: Path) -> None:
        self._folder = library_folder / FOLDER

    def path(self, job_id: str, number: int) -> Path:
        """Where a job's sound with this number lies."""
        return self._folder / job_id / str(number)

    @contextmanager
    def stage(self, job_id: str, sounds: Sequence[IO[bytes]]) -> Iterator[None]:
        """Copy the sounds of a new job to disk, and hold its lock meanwhile and inside the context.

        Raises StorageError; that, or an error inside the context, leaves nothing behind.
        """
        folder = self._folder / job_id
        with _disk_errors():
            lock = _lock(folder)
            assert lock is not None, "ids are random"
            try:
                for number, sound in enumerate(sounds):
                    _copy(sound, folder / str(number))
                for changed in (folder, self._folder):
                    sync_folder(changed)
                yield
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            finally:
                os.close(lock)

    def lock(self, job_id: str) -> int | None:
        """The descriptor of a job's locked file; None where another holds the lock.

        The file is made where it is missing. Closing the descriptor releases the lock.
        Raises StorageError.
        """
        with _disk_errors():
            return _lock(self._folder / job_id)

    def discard(self, job_id: str) -> None:
        """Remove a job's sounds; `sweep` removes what is left where that fails."""
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def sweep(self, live: Collection[str], over: Collection[str]) -> None:
        """Remove folders of jobs that are over, and of no job at all once nobody stages them.

        Raises StorageError.
        """
        if not self._folder.is_dir():
            return
        with _disk_errors():
            for folder in self._folder.iterdir():
                if folder.name in live or not folder.is_dir():
                    continue
                if folder.name not in over and _age(folder) < STAGING_SECONDS:
                    continue
                lock = _lock(folder)
                if lock is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(lock)


def _age(folder: Path) -> float:
    """Seconds since a folder was changed; 0 where another process has removed it meanwhile."""
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _lock(folder: Path) -> int | None:
    """See `JobFiles.lock`. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _copy(sound: IO[bytes], path: Path) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(sound, file, COPY_BYTES)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _disk_errors() -> Iterator[None]:
    """The disk's errors as StorageError, without the library's path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{FOLDER}: {error.strerror}") from error
