"""Loudness is pyloudnorm's, however the sound arrives, and told where it can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.loudness import LoudnessMeter

TOLERANCE = 0.02  # LU


def noise(seed: int, count: int, channels: int) -> npt.NDArray[np.float32]:
    """Noise whose level changes, with silence in between and an offset."""
    random = np.random.default_rng(seed)
    levels = random.choice([0.0, 0.001, 0.03, 0.3], size=(max(count // 3_000, 2), 1))
    level = np.repeat(levels, -(-count // len(levels)), axis=0)[:count]
    samples = random.standard_normal((count, channels)) * level + 0.05
    return samples.astype(np.float32)


def measured(samples: npt.NDArray[np.float32], rate: int, *cuts: int) -> float | None:
    """The loudness of samples [n, channels] that arrive in blocks."""
    meter = LoudnessMeter(rate, samples.shape[1])
    for block in np.split(samples, sorted(cuts)):
        meter.add(block)
    return meter.loudness()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 96_000]),
    seconds=st.floats(0.4, 2.0),
    channels=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 100_000), max_size=3),
)
def test_it_is_that_of_pyloudnorm_however_the_sound_is_cut(
    seed: int, rate: int, seconds: float, channels: int, cuts: list[int]
) -> None:
    samples = noise(seed, int(seconds * rate) + 1, channels)
    expected = pyloudnorm.Meter(rate).integrated_loudness(samples.astype(np.float64))
    found = measured(samples, rate, *cuts)
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_a_tone_of_full_scale_has_the_loudness_of_the_standard() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(48_000) / 48_000).astype(np.float32)
    stereo = np.stack([tone, tone], axis=1)
    assert measured(stereo, 48_000) == pytest.approx(0.0, abs=0.1)
    assert measured(stereo[:, :1], 48_000) == pytest.approx(-3.01, abs=0.1)
    short = stereo[: int(0.2 * 48_000)]  # one block of its own length
    assert measured(short, 48_000) == pytest.approx(0.0, abs=0.2)


def test_the_low_frequencies_of_six_channels_do_not_count() -> None:
    sound = noise(1, 20_000, 6)
    louder = sound.copy()
    louder[:, 3] *= 100
    assert measured(louder, 22_050) == measured(sound, 22_050)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((44_100, 2)), 44_100),
        (np.full((44_100, 1), 1e-5), 44_100),  # below the gate
        (np.zeros((0, 1)), 44_100),
        (noise(0, 9_000, 1), 2_000),
        (noise(0, 9_000, 8), 44_100),
        (np.full((44_100, 1), np.nan), 44_100),
        (np.full((44_100, 1), 3e38), 44_100),
    ],
    ids=["silence", "hum", "nothing", "low rate", "eight channels", "no numbers", "too loud"],
)
def test_what_cannot_be_measured_has_none(samples: npt.NDArray[np.float64], rate: int) -> None:
    assert measured(samples.astype(np.float32), rate) is None


def test_a_sound_whose_channels_change_has_none() -> None:
    meter = LoudnessMeter(44_100, 1)
    meter.add(noise(0, 44_100, 1))
    meter.add(noise(0, 44_100, 2))
    assert meter.loudness() is None
