"""The feature cache: every clip's log-mel frames, computed once, in parallel, resumable.

Layout of a cache folder: `KEY/shard-00000.npz`, …, where KEY is a hash of the clips' files and the
feature configuration. A shard holds `frames` [n, F] float16 of up to 256 clips, their `lengths`,
and the reasons why unreadable clips failed. Letters: n = frames, F = mels.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.config import LATER, FeatureConfig, without_later_defaults
from earmark.model.core.errors import AudioError
from earmark.training.features import shards

MAX_CLIP_SECONDS = 60.0  # a corpus of longer sounds is cut into clips first


@dataclass(frozen=True)
class FeatureSet:
    """Log-mel frames [n, F] of a corpus; clip i has frames[offsets[i] : offsets[i + 1]].

    Unreadable clips have no frames; `failed` maps their paths to the reason.
    """

    frames: npt.NDArray[np.float16]
    offsets: npt.NDArray[np.int64]
    failed: dict[str, str]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def readable(self) -> npt.NDArray[np.bool_]:
        """[clips], True where a clip has frames."""
        return np.diff(self.offsets) > 0

    def clip(self, index: int) -> npt.NDArray[np.float16]:
        """Frames [n, F] of one clip."""
        return self.frames[self.offsets[index] : self.offsets[index + 1]]


def load_features(
    paths: Sequence[Path], config: FeatureConfig, cache: Path | None, workers: int | None = None
) -> FeatureSet:
    """Features of all clips; computes those that the cache lacks.

    `cache`: a temporary folder when None. `workers`: processes, all cores when None. An unreadable
    clip is listed in `failed`. Raises CorpusError for a missing file.
    """
    settings = json.dumps(without_later_defaults(config, LATER["features"]), sort_keys=True)
    write = partial(_write_shard, config=config)
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = shards.make_folder(cache / shards.cache_key(paths, settings))
        return _read_shards(shards.fill("features", folder, paths, write, workers))


def _write_shard(paths: Sequence[Path], shard: Path, config: FeatureConfig) -> None:
    log_mel = LogMel(config, mel_filters(config))
    frames, failed = [], {}
    for path in paths:
        try:
            frames.append(_clip_frames(path, config, log_mel))
        except AudioError as error:
            failed[str(path)] = str(error)
            frames.append(np.zeros((0, config.n_mels), dtype=np.float16))
    shards.save(
        shard,
        {
            "frames": np.concatenate(frames),
            "lengths": np.array([len(clip) for clip in frames]),
            "failed": np.array(json.dumps(failed)),
        },
    )


def _clip_frames(path: Path, config: FeatureConfig, log_mel: LogMel) -> npt.NDArray[np.float16]:
    """A clip's frames, padded with silence to one window at least."""
    reader = SoundReader(path, config.sample_rate, path.name, MAX_CLIP_SECONDS)
    frames = np.concatenate(list(log_mel.frames(reader.blocks())))
    missing = max(0, config.frames - len(frames))
    padded = np.pad(frames, ((0, missing), (0, 0)), constant_values=np.log(config.log_offset))
    return padded.astype(np.float16)


def _read_shards(files: Sequence[Path]) -> FeatureSet:
    frames, lengths, failed = [], [], {}
    for shard in files:
        with np.load(shard, allow_pickle=False) as data:
            frames.append(data["frames"])
            lengths.append(data["lengths"])
            failed.update(json.loads(str(data["failed"])))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return FeatureSet(np.concatenate(frames), offsets, failed)
