"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, parts: Iterable[bytes | memoryview], mode: int = 0o666) -> None:
    """Write the parts to `path`: to a temporary name beside it, to disk, then renamed.

    Whatever happens, `path` holds all of the new bytes or all of the old. `mode`: of the file,
    less the process's mask. Raises OSError.
    """
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
