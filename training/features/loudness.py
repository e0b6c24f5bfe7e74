"""The level of clips, measured on their log-mel power."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from earmark.training.features.cache import FeatureSet

FULL_LEVEL = 10.0  # nats: the loudest band of a clip at full scale, the median of 12,000
NATS_PER_DECIBEL = math.log(10) / 10


def gain_to_full_level(features: FeatureSet) -> npt.NDArray[np.float32]:
    """How many nats louder each clip must be for its loudest band to reach full level, [clips]."""
    loudest = features.frames.max(axis=1, initial=-np.inf).astype(np.float32)
    gain = np.zeros(len(features), dtype=np.float32)
    readable = np.flatnonzero(features.readable)
    if len(readable):
        gain[readable] = FULL_LEVEL - np.maximum.reduceat(loudest, features.offsets[readable])
    return gain
