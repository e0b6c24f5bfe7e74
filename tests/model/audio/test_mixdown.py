"""Channels → mono: the mean, and the louder channel where the mean cancels the sound out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.decode import decode
from earmark.model.audio.mixdown import mix_down
from tests.model.tiny import RATE, sine

HZ = 1_000
Samples = npt.NDArray[np.float32]


def mixed(samples: Samples, *ends: int) -> Samples:
    """The mono samples of a sound that comes in blocks with these ends."""
    edges = [0, *sorted(ends), len(samples)]
    return np.concatenate(list(mix_down((samples[a:b] for a, b in pairwise(edges) if b > a), HZ)))


def channels(*columns: Samples) -> Samples:
    return np.stack(columns, axis=1)


def random(seed: int, count: int = 3_500) -> Samples:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


@pytest.mark.parametrize("count", [2, 3, 6])
def test_unrelated_and_equal_channels_are_averaged(count: int) -> None:
    unrelated = channels(*(random(seed) for seed in range(count)))
    np.testing.assert_array_equal(mixed(unrelated), unrelated.mean(axis=1))
    equal = channels(*[random(0)] * count)
    np.testing.assert_allclose(mixed(equal), random(0), rtol=1e-6)


def test_a_single_sounding_channel_is_averaged_as_ever() -> None:
    silence = np.zeros(3_500, np.float32)
    np.testing.assert_array_equal(mixed(channels(random(0), silence)), random(0) / 2)
    np.testing.assert_array_equal(mixed(channels(silence, silence)), silence)


@pytest.mark.parametrize("gain", [0.99, 0.8, 0.5])
def test_where_channels_cancel_each_other_the_louder_one_is_heard(gain: float) -> None:
    sound = random(0)
    np.testing.assert_array_equal(mixed(channels(sound, -gain * sound)), sound)
    np.testing.assert_array_equal(mixed(channels(-gain * sound, sound)), sound)


def test_almost_equal_channels_do_not_take_turns() -> None:
    sound = random(0, 20 * HZ)
    # Each second another one is a little louder, as in a lossy file.
    gains = np.repeat(np.tile([1.01, 0.99], 10), HZ).astype(np.float32)
    left, right = sound * gains, -sound / gains
    np.testing.assert_array_equal(mixed(channels(left, right)), left)


def test_only_the_seconds_that_cancel_change() -> None:
    left = random(0, 3 * HZ)
    right = left.copy()
    right[HZ : 2 * HZ] *= -1
    np.testing.assert_allclose(mixed(channels(left, right)), left, rtol=1e-6)


def test_the_number_of_channels_may_change() -> None:
    stereo, mono = channels(random(0, 1_500), random(1, 1_500)), random(2, 700)[:, None]
    found = np.concatenate(list(mix_down(iter([stereo, mono, stereo]), HZ)))
    mean = stereo.mean(axis=1)
    np.testing.assert_array_equal(found, np.concatenate([mean, mono[:, 0], mean]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3_500), max_size=6),
    st.integers(1, 4),
    st.lists(st.sampled_from([-1.0, -0.3, 0.0, 1.0]), min_size=4, max_size=4),
)
def test_blocks_do_not_matter(ends: list[int], count: int, gains: list[float]) -> None:
    columns = [np.float32(gain) * random(0) + 0.1 * random(seed) for seed, gain in enumerate(gains)]
    samples = channels(*columns[:count]).astype(np.float32)
    np.testing.assert_array_equal(mixed(samples, *ends), mixed(samples))


def test_values_that_are_no_numbers_stay() -> None:
    samples = channels(random(0), -random(0))
    samples[1_200, 1] = np.nan
    assert np.isnan(mixed(samples)).any()


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_a_file_out_of_phase_is_not_silent(tmp_path: Path, name: str) -> None:
    left = sine(2.5)
    soundfile.write(tmp_path / name, np.stack([left, -left], axis=1), RATE)
    heard = decode(tmp_path / name, RATE)
    assert np.abs(heard).mean() == pytest.approx(np.abs(left).mean(), rel=0.05)
