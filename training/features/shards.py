"""Results of slow work on many files, stored in shards.

Each shard is written atomically, so an interrupted run continues with the next one.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from earmark.model.core.errors import ConfigError
from earmark.model.core.progress import progress
from earmark.training.errors import CorpusError

SHARD_CLIPS = 256

WriteShard = Callable[[Sequence[Path], Path], None]  # (the shard's sound files, the shard)


def make_folder(folder: Path) -> Path:
    """Create a folder where it does not exist; returns it. Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be a folder ({error.strerror})") from error
    return folder


def cache_key(paths: Sequence[Path], settings: str = "") -> str:
    """A hash of the files' names, sizes and times, and of the settings they are computed with.

    Raises CorpusError for a missing file.
    """
    digest = hashlib.sha256(settings.encode())
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def shard_files(folder: Path, count: int) -> Iterator[tuple[Path, range]]:
    """The shards of `count` clips, each with the indices of its clips."""
    for first in range(0, count, SHARD_CLIPS):
        indices = range(first, min(first + SHARD_CLIPS, count))
        yield folder / f"shard-{first // SHARD_CLIPS:05d}.npz", indices


def is_complete(shard: Path) -> bool:
    """Whether a shard exists and was not cut short by a power failure."""
    return shard.exists() and zipfile.is_zipfile(shard)


def save(shard: Path, arrays: Mapping[str, Any]) -> None:
    """Write a shard of named arrays, atomically."""
    temporary = shard.with_name(f".{shard.name}.{secrets.token_hex(4)}.tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(shard)


def fill(
    title: str,
    folder: Path,
    paths: Sequence[Path],
    write: WriteShard,
    workers: int | None = None,
) -> list[Path]:
    """The shards of all files; `write` makes the missing ones.

    `title`: of the progress bar. `workers`: processes, all cores when None. `write` must be
    picklable.
    """
    files_of = {
        shard: [paths[index] for index in indices]
        for shard, indices in shard_files(folder, len(paths))
    }
    missing = {shard: files for shard, files in files_of.items() if not is_complete(shard)}
    workers = min(workers or os.cpu_count() or 1, len(missing))
    with progress(title, sum(map(len, missing.values()))) as bar, ExitStack() as stack:
        if workers > 1:
            # "spawn": a fork of a process that holds torch's threads can hang.
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            results = stack.enter_context(pool).map(write, missing.values(), missing)
        else:
            results = map(write, missing.values(), missing)
        for files, _ in zip(missing.values(), results, strict=True):
            bar.step(len(files))
    return list(files_of)
