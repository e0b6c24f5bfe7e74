"""How loud clips are, read off their log-mel of power."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from earmark.training.features.cache import FeatureSet

FULL = 10.0  # nats: the loudest band of a clip at full scale, the median of 12,000
NATS_PER_DECIBEL = math.log(10) / 10


def below_full(features: FeatureSet) -> npt.NDArray[np.float32]:
    """By how many nats each clip's loudest band lies under that of full level, [clips]."""
    loudest = features.frames.max(axis=1, initial=-np.inf).astype(np.float32)
    below = np.zeros(len(features), dtype=np.float32)
    there = np.flatnonzero(features.ok)
    if len(there):
        below[there] = FULL - np.maximum.reduceat(loudest, features.offsets[there])
    return below
