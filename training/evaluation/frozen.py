"""What sounds are told by before anything is trained on them: MFCC statistics, or aiSFX's code.

Both are matrices [clips, d], a row of NaN where a clip could not be read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.audio import AudioEncoder
from model.errors import AudioError
from model.progress import progress
from training.errors import CorpusError
from training.knowledge import heard
from training.mfcc import COEFFICIENTS, mfcc_features
from training.prepare import SHARD_CLIPS, FeatureSet, made_folder

Array = npt.NDArray[np.float32]

MFCC_SIZE = 6 * COEFFICIENTS


def mfcc(paths: Sequence[Path], cache: Path) -> Array:
    """MFCC statistics [clips, 120] of files, from the cache where they are. Raises CorpusError.

    Computed by all cores, 256 clips at a time, each part written whole or not at all.
    """
    folder = made_folder(cache / "mfcc")
    parts = [paths[start : start + SHARD_CLIPS] for start in range(0, len(paths), SHARD_CLIPS)]
    files = [folder / f"{_key(part)}.npy" for part in parts]
    todo = {file: part for file, part in zip(files, parts, strict=True) if not file.exists()}
    workers = min(os.cpu_count() or 1, len(todo))
    with progress("MFCC", sum(map(len, todo.values()))) as shown, ExitStack() as stack:
        if workers > 1:
            # "spawn": a fork of a process that holds torch's threads can hang.
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            results = stack.enter_context(pool).map(_write, todo.values(), todo)
        else:
            results = map(_write, todo.values(), todo)
        for part, _ in zip(todo.values(), results, strict=True):
            shown.step(len(part))
    return np.concatenate([np.load(file, allow_pickle=False) for file in files])


def teacher_code(
    teacher: AudioEncoder, features: FeatureSet, cache: Path, *, mixed: bool = False
) -> Array:
    """The teacher's code [clips, V], mean of a clip's windows (`training.knowledge.heard`)."""
    known = heard(teacher, features, cache, mixed=mixed)
    means = np.full((len(features), known.width), np.nan, dtype=np.float32)
    there = np.flatnonzero(features.ok)
    if len(there):
        sums = np.add.reduceat(known.codes.astype(np.float32), known.offsets[there], axis=0)
        means[there] = sums / np.diff(known.offsets)[there, None]
    return means


def _key(paths: Sequence[Path]) -> str:
    """Names these files as they are: a changed one gives another key."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _write(paths: Sequence[Path], target: Path) -> None:
    made = np.full((len(paths), MFCC_SIZE), np.nan, dtype=np.float32)
    for row, path in enumerate(paths):
        try:
            made[row] = mfcc_features(path)
        except AudioError:
            continue
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.tmp.npy")
    np.save(temporary, made)
    temporary.replace(target)
