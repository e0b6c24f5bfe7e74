"""What takes long to compute of many files, kept in parts: each written whole or not at all, so
that an interrupted run goes on with the next.
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

CLIPS = 256  # of a shard

Write = Callable[[Sequence[Path], Path], None]


def made_folder(folder: Path) -> Path:
    """The folder, made where it was not there. Raises ConfigError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be a folder ({error.strerror})") from error
    return folder


def key(paths: Sequence[Path], how: str = "") -> str:
    """Names these files as they are and `how` they are taken: a changed one gives another key.

    Raises CorpusError.
    """
    digest = hashlib.sha256(how.encode())
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def parts(folder: Path, count: int) -> Iterator[tuple[Path, range]]:
    """The files for `count` clips, each with the numbers of its clips."""
    for first in range(0, count, CLIPS):
        yield folder / f"shard-{first // CLIPS:05d}.npz", range(first, min(first + CLIPS, count))


def is_whole(shard: Path) -> bool:
    """Whether a shard is there, and was not cut short when the power went."""
    return shard.exists() and zipfile.is_zipfile(shard)


def save(shard: Path, arrays: Mapping[str, Any]) -> None:
    """Write a shard of named arrays."""
    temporary = shard.with_name(f".{shard.name}.{secrets.token_hex(4)}.tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(shard)


def fill(
    what: str, folder: Path, paths: Sequence[Path], write: Write, workers: int | None = None
) -> list[Path]:
    """The shards of all files, those that are missing written by `write`(its files, shard).

    `what`: is done, for the progress bar. `workers`: processes; all cores when None. `write` can be
    pickled.
    """
    mine = {
        shard: [paths[number] for number in numbers] for shard, numbers in parts(folder, len(paths))
    }
    todo = {shard: part for shard, part in mine.items() if not is_whole(shard)}
    workers = min(workers or os.cpu_count() or 1, len(todo))
    with progress(what, sum(map(len, todo.values()))) as shown, ExitStack() as stack:
        if workers > 1:
            # "spawn": a fork of a process that holds torch's threads can hang.
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            results = stack.enter_context(pool).map(write, todo.values(), todo)
        else:
            results = map(write, todo.values(), todo)
        for part, _ in zip(todo.values(), results, strict=True):
            shown.step(len(part))
    return list(mine)
