"""What sounds are told by before anything is trained on them: MFCC statistics, or aiSFX's code.

Both are matrices [clips, d], a row of NaN where a clip could not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.networks.audio_encoder import AudioEncoder
from earmark.training.distillation.teacher_codes import heard
from earmark.training.evaluation.mfcc_baseline import COEFFICIENTS, mfcc_features
from earmark.training.features import shards
from earmark.training.features.cache import FeatureSet

MFCC_SIZE = 6 * COEFFICIENTS


def mfcc(paths: Sequence[Path], cache: Path) -> Array:
    """MFCC statistics [clips, 120] of files, from the cache where they are. Raises CorpusError."""
    folder = shards.made_folder(cache / f"mfcc-{shards.key(paths)}")
    made = []
    for shard in shards.fill("MFCC", folder, paths, _write):
        with np.load(shard, allow_pickle=False) as data:
            made.append(data["mfcc"])
    return np.concatenate(made)


def teacher_code(
    teacher: AudioEncoder, features: FeatureSet, cache: Path, *, mixed: bool = False
) -> Array:
    """The teacher's code [clips, V], mean of a clip's windows
    (`training.distillation.teacher_codes.heard`).
    """
    known = heard(teacher, features, cache, mixed=mixed)
    means = np.full((len(features), known.width), np.nan, dtype=np.float32)
    there = np.flatnonzero(features.ok)
    if len(there):
        sums = np.add.reduceat(known.codes.astype(np.float32), known.offsets[there], axis=0)
        means[there] = sums / np.diff(known.offsets)[there, None]
    return means


def _write(paths: Sequence[Path], target: Path) -> None:
    made = np.full((len(paths), MFCC_SIZE), np.nan, dtype=np.float32)
    for row, path in enumerate(paths):
        try:
            made[row] = mfcc_features(path)
        except AudioError:
            continue
    shards.save(target, {"mfcc": made})
