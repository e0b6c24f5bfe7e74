"""Writing a file whole or not at all."""

from __future__ import annotations

import glob
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

ABANDONED_SECONDS = 3_600  # since its last byte: whoever wrote a temporary file was killed


def write_whole(path: Path, parts: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write the parts to `path`: to a temporary name beside it, to disk, then renamed.

    Whatever happens, `path` holds all of the new bytes or all of the old. `mode`: of the file,
    less the process's mask. Raises OSError.
    """
    _clear(path)
    # Random, not the process's number: two containers on one volume may share that.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(opened, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Remove what writers of `path` left behind that were killed: it may be large."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with suppress(OSError):  # another one has removed it, or may only read here
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                left.unlink()
