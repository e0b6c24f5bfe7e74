"""The feature cache: every clip's log-mel frames, computed once, in parallel, resumable.

Layout of a cache folder: `KEY/shard-00000.npz`, …, where KEY names the corpus and the feature
configuration. A shard holds `frames` [n, F] float16 of up to 256 clips, their `lengths`, and
the reasons of those that failed; it is written whole or not at all, so an interrupted run
goes on with the next shard.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import zipfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.config import FeatureConfig
from model.decode import SoundReader
from model.errors import AudioError, ConfigError
from model.features import LogMel, mel_filters
from model.progress import progress
from training.errors import CorpusError

SHARD_CLIPS = 256
MAX_SECONDS = 60.0  # of a clip; a corpus of longer sounds is cut into clips first


@dataclass(frozen=True)
class FeatureSet:
    """Log-mel frames of a corpus: clip i is frames[offsets[i] : offsets[i + 1]], [n, F].

    `ok` tells which clips could be read; the others have no frames. `failed` says why.
    """

    frames: npt.NDArray[np.float16]
    offsets: npt.NDArray[np.int64]
    failed: dict[str, str]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """[clips], True where a clip has frames."""
        return np.diff(self.offsets) > 0

    def clip(self, number: int) -> npt.NDArray[np.float16]:
        """Frames [n, F] of one clip."""
        return self.frames[self.offsets[number] : self.offsets[number + 1]]


def _clip_frames(path: Path, config: FeatureConfig, log_mel: LogMel) -> npt.NDArray[np.float16]:
    """A clip's frames, at least one window's worth."""
    reader = SoundReader(path, config.sample_rate, path.name, MAX_SECONDS)
    frames = np.concatenate(list(log_mel.frames(reader.blocks())))
    missing = max(0, config.frames - len(frames))
    padded = np.pad(frames, ((0, missing), (0, 0)), constant_values=np.log(config.log_offset))
    return padded.astype(np.float16)


def _write_shard(paths: Sequence[Path], target: Path, config: FeatureConfig) -> None:
    log_mel = LogMel(config, mel_filters(config))
    frames, failed = [], {}
    for path in paths:
        try:
            frames.append(_clip_frames(path, config, log_mel))
        except AudioError as error:
            failed[str(path)] = str(error)
            frames.append(np.zeros((0, config.n_mels), dtype=np.float16))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp.npz")
    np.savez(
        temporary,
        frames=np.concatenate(frames),
        lengths=np.array([len(each) for each in frames]),
        failed=np.array(json.dumps(failed)),
    )
    temporary.replace(target)


def _key(paths: Sequence[Path], config: FeatureConfig) -> str:
    """Names this corpus and these features: a changed file or setting gives another key."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for path in paths:
        try:
            state = path.stat()
        except OSError as error:
            raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def made_folder(folder: Path) -> Path:
    """The folder, made where it was not there. Raises ConfigError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be a folder ({error.strerror})") from error
    return folder


def is_whole(shard: Path) -> bool:
    """Whether a shard is there, and was not cut short when the power went."""
    return shard.exists() and zipfile.is_zipfile(shard)


def prepare(
    paths: Sequence[Path], config: FeatureConfig, cache: Path, workers: int | None = None
) -> FeatureSet:
    """Features of all clips, from the cache where they are. Raises CorpusError.

    `workers`: processes; all cores when None. A clip that cannot be read is reported in
    `failed` and has no frames.
    """
    folder = made_folder(cache / _key(paths, config))
    shards = {
        folder / f"shard-{number:05d}.npz": paths[start : start + SHARD_CLIPS]
        for number, start in enumerate(range(0, len(paths), SHARD_CLIPS))
    }
    todo = {shard: part for shard, part in shards.items() if not is_whole(shard)}
    workers = min(workers or os.cpu_count() or 1, len(todo))
    write = partial(_write_shard, config=config)
    with progress("features", sum(map(len, todo.values()))) as shown, ExitStack() as stack:
        if workers > 1:
            # "spawn": a fork of a process that holds torch's threads can hang.
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
            results = stack.enter_context(pool).map(write, todo.values(), todo)
        else:
            results = map(write, todo.values(), todo)
        for part, _ in zip(todo.values(), results, strict=True):
            shown.step(len(part))
    return _read_shards(list(shards))


def _read_shards(shards: Sequence[Path]) -> FeatureSet:
    frames, lengths, failed = [], [], {}
    for shard in shards:
        with np.load(shard, allow_pickle=False) as data:
            frames.append(data["frames"])
            lengths.append(data["lengths"])
            failed.update(json.loads(str(data["failed"])))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return FeatureSet(np.concatenate(frames), offsets, failed)
