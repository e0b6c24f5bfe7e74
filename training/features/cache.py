"""The feature cache: every clip's log-mel frames, computed once, in parallel, resumable.

Layout of a cache folder: `KEY/shard-00000.npz`, …, where KEY names the corpus and the feature
configuration. A shard holds `frames` [n, F] float16 of up to 256 clips, their `lengths`, and
the reasons of those that failed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.config import FeatureConfig
from earmark.model.core.errors import AudioError
from earmark.training.features import shards

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
    shards.save(
        target,
        {
            "frames": np.concatenate(frames),
            "lengths": np.array([len(each) for each in frames]),
            "failed": np.array(json.dumps(failed)),
        },
    )


def prepare(
    paths: Sequence[Path], config: FeatureConfig, cache: Path | None, workers: int | None = None
) -> FeatureSet:
    """Features of all clips, from the cache where they are. Raises CorpusError.

    `cache`: None for a folder that is gone afterwards. `workers`: processes; all cores when None.
    A clip that cannot be read is reported in `failed` and has no frames.
    """
    how = json.dumps(asdict(config), sort_keys=True)
    write = partial(_write_shard, config=config)
    with ExitStack() as stack:
        if cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = shards.made_folder(cache / shards.key(paths, how))
        return _read_shards(shards.fill("features", folder, paths, write, workers))


def _read_shards(files: Sequence[Path]) -> FeatureSet:
    frames, lengths, failed = [], [], {}
    for shard in files:
        with np.load(shard, allow_pickle=False) as data:
            frames.append(data["frames"])
            lengths.append(data["lengths"])
            failed.update(json.loads(str(data["failed"])))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return FeatureSet(np.concatenate(frames), offsets, failed)
