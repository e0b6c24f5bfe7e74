"""Frozen features of clips, which nothing is trained for: MFCC statistics, and EfficientAT's codes.

Both are matrices [clips, d], with a row of NaN for an unreadable clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earmark.model.checkpoint import Checkpoint
from earmark.model.config import preset
from earmark.model.core.arrays import Array
from earmark.model.core.errors import AudioError
from earmark.model.core.progress import progress
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.networks.dual_encoder import DualEncoder
from earmark.model.text.sentence_vectors import SentenceVectors
from earmark.training.distillation.efficientat import BANDS, Teacher
from earmark.training.evaluation.mfcc_baseline import COEFFICIENTS, mfcc_features
from earmark.training.features import shards
from earmark.training.features.cache import FeatureSet
from earmark.training.features.encode_clips import CLIPS_IN_MEMORY, clip_codes

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


def teacher_codes(teacher: Teacher, features: FeatureSet) -> Array:
    """The teacher's codes [clips, V] of the starter preset's features, as that model hears."""
    config = preset("starter")
    model = DualEncoder(config)
    model.band_min.fill_(BANDS[0])
    model.band_max.fill_(BANDS[1])
    assert model.audio is not None, "presets have both halves"
    model.audio.convolutions.load_state_dict(teacher.convolutions)
    embedder = DualEmbedder(Checkpoint(model, SentenceVectors([]), []))
    codes = np.full((len(features), config.code_dim), np.nan, dtype=np.float32)
    readable = np.flatnonzero(features.readable)
    with progress("hearing as the teacher", len(readable)) as bar:
        for first in range(0, len(readable), CLIPS_IN_MEMORY):
            block = readable[first : first + CLIPS_IN_MEMORY]
            codes[block] = clip_codes(embedder, features, block.tolist())
            bar.step(len(block))
    return codes
