"""The paper's low baseline: statistics of MFCCs and their differences (METHOD §6).

20 coefficients, their Δ and ΔΔ; mean and standard deviation over time of each: [120] for a sound.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import decode

MFCC_SAMPLE_RATE = 22_000  # Hz
COEFFICIENTS = 20
N_FFT = 2_048


def mfcc_features(path: Path) -> npt.NDArray[np.float32]:
    """A sound's MFCC statistics [120]. Raises AudioError."""
    import librosa

    samples = decode(path, MFCC_SAMPLE_RATE, path.name)
    samples = np.pad(samples, (0, max(0, N_FFT - len(samples))))  # librosa needs a whole frame
    mfcc = librosa.feature.mfcc(y=samples, sr=MFCC_SAMPLE_RATE, n_mfcc=COEFFICIENTS, n_fft=N_FFT)
    # "nearest": the shortest sounds have fewer frames than the difference filter.
    parts = [mfcc, *(librosa.feature.delta(mfcc, order=order, mode="nearest") for order in (1, 2))]
    stacked = np.concatenate(parts)
    return np.concatenate([stacked.mean(axis=1), stacked.std(axis=1)]).astype(np.float32)
