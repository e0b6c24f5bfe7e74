"""Frozen features of clips, which nothing is trained for: MFCC statistics, and aiSFX's codes.

Both are matrices [clips, d], with a row of NaN for an unreadable clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.training.distillation.teacher_codes import compute_teacher_codes
from earmark.training.evaluation.mfcc_baseline import COEFFICIENTS, mfcc_features
from earmark.training.features import shards
from earmark.training.features.cache import FeatureSet

MFCC_SIZE = 6 * COEFFICIENTS


def mfcc_statistics(paths: Sequence[Path], cache: Path) -> Array:
    """MFCC statistics [clips, 120] of files; computes those that the cache lacks.

    Raises CorpusError for a missing file.
    """
    folder = shards.make_folder(cache / f"mfcc-{shards.cache_key(paths)}")
    statistics = []
    for shard in shards.fill("MFCC", folder, paths, _write_shard):
        with np.load(shard, allow_pickle=False) as data:
            statistics.append(data["mfcc"])
    return np.concatenate(statistics)


def _write_shard(paths: Sequence[Path], shard: Path) -> None:
    statistics = np.full((len(paths), MFCC_SIZE), np.nan, dtype=np.float32)
    for row, path in enumerate(paths):
        try:
            statistics[row] = mfcc_features(path)
        except AudioError:
            continue
    shards.save(shard, {"mfcc": statistics})


def mean_teacher_codes(
    teacher: AudioEncoder, features: FeatureSet, cache: Path, *, mixed_precision: bool = False
) -> Array:
    """The teacher's codes [clips, V], averaged over each clip's windows.

    The arguments are those of `training.distillation.teacher_codes.compute_teacher_codes`.
    """
    teacher_codes = compute_teacher_codes(teacher, features, cache, mixed_precision=mixed_precision)
    codes, offsets = teacher_codes.codes.astype(np.float32), teacher_codes.offsets
    means = np.full((len(features), teacher_codes.code_dim), np.nan, dtype=np.float32)
    readable = np.flatnonzero(features.readable)
    if len(readable):
        sums = np.add.reduceat(codes, offsets[readable], axis=0)
        means[readable] = sums / np.diff(offsets)[readable, None]
    return means
