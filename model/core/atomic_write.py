"""Atomic file writes: all of a file or nothing."""

from __future__ import annotations

import glob
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

ABANDONED_SECONDS = 3_600  # age of a temporary file whose writer must have been killed


def write_whole(path: Path, parts: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write the parts to `path` as `whole_file` does. Raises OSError."""
    with whole_file(path, mode) as file:
        file.writelines(parts)


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A temporary file beside `path`, which is synced to disk and renamed once it is written.

    `path` always holds all of the new bytes or all of the old ones. `mode`: permissions, reduced by
    the process's umask. Raises OSError.
    """
    _remove_abandoned(path)
    # Random, not the process id: containers on a shared volume can have the same one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(opened, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of killed writers of `path`: they may be large."""
    for file in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):  # removed by another process, or a read-only folder
            if time.time() - file.stat().st_mtime > ABANDONED_SECONDS:
                file.unlink()
