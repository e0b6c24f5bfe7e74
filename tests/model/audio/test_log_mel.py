"""Log-mel frames and windows: exact, the same in blocks, and nothing lost by accident."""

from __future__ import annotations

import warnings
from dataclasses import replace

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.log_mel import (
    CHUNK_FRAMES,
    SEARCH_STEP,
    LogMel,
    loudest_patch,
    mel_filters,
    windows,
)
from earmark.model.config import FeatureConfig, ModelConfig
from earmark.model.core.errors import ConfigError, InputError
from tests.model.tiny import FIRST_STARTER, default_features, everyday_features, noise, sine

CONFIG = default_features()
LOG_MEL = LogMel(CONFIG, mel_filters(CONFIG))


def librosa_log_mel(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """The same spectrogram by librosa, in float64 throughout."""
    spectrum = librosa.stft(
        samples.astype(np.float64),
        n_fft=config.n_fft,
        hop_length=config.hop,
        window=config.stft_window,
        center=True,
        pad_mode="constant",
        dtype=np.complex128,
    )
    filters = librosa.filters.mel(
        sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, dtype=np.float64
    )
    return np.log(filters @ np.abs(spectrum) + config.log_offset).T


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("hertz", [0.0, 800.0, 7_000.0])
def test_the_filters_are_librosas(scale: str, hertz: float) -> None:
    for rate, size, bands in ((22_000, 1_024, 96), (32_000, 1_024, 128), (16_000, 512, 40)):
        config = replace(
            CONFIG, sample_rate=rate, n_fft=size, n_mels=bands, max_hz=hertz, mel_scale=scale
        )
        with warnings.catch_warnings(action="ignore"):  # librosa's, of bands between two bins
            expected = librosa.filters.mel(
                sr=rate,
                n_fft=size,
                n_mels=bands,
                fmax=hertz or None,
                norm=1 if scale == "htk" else "slaney",
                htk=scale == "htk",
            )
        np.testing.assert_allclose(mel_filters(config), expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("window", ["hann", "hamming"])
@pytest.mark.parametrize("level", [1.0, 1e-4])
def test_log_mel_is_librosas(window: str, level: float) -> None:
    config = default_features(stft_window=window)
    samples = ((noise(1.5) + sine(1.5, 3000)) * level).astype(np.float32)
    ours = LogMel(config, mel_filters(config))(samples)
    assert np.abs(ours - librosa_log_mel(samples, config)).max() < 1e-4


def test_a_quiet_band_beside_a_loud_tone_is_exact() -> None:
    """In float32 the Hann window's side lobes would drown in rounding noise."""
    samples = sine(1.0, 440.0, level=0.9)
    ours = LOG_MEL(samples)
    assert ours.min() < -15
    assert np.abs(ours - librosa_log_mel(samples, CONFIG)).max() < 1e-3


def test_a_tone_is_loudest_in_its_band() -> None:
    centres = librosa.mel_frequencies(n_mels=98, fmin=0, fmax=11_000)[1:-1]
    for hertz in (440.0, 2000.0, 8000.0):
        bands = LOG_MEL(sine(0.5, hertz)).mean(axis=0)
        assert abs(int(bands.argmax()) - int(np.abs(centres - hertz).argmin())) <= 1


def test_silence_is_the_offset() -> None:
    frames = LOG_MEL(np.zeros(5000, np.float32))
    np.testing.assert_allclose(frames, -23 * np.log(2), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1023, 1024, 1025, 22_000, 51_200])
def test_frame_count(count: int) -> None:
    assert LOG_MEL(np.ones(count, np.float32)).shape == (1 + count // 512, 96)


def test_short_sounds_are_padded_with_zeros() -> None:
    config = default_features(min_seconds=2.0)
    log_mel = LogMel(config, LOG_MEL._filters.T)
    samples = noise(0.7)
    padded = np.concatenate([samples, np.zeros(44_000 - len(samples), np.float32)])
    assert len(log_mel(samples)) == 1 + 44_000 // 512
    np.testing.assert_array_equal(log_mel(samples), log_mel(padded))
    longer = noise(2.5)
    np.testing.assert_array_equal(log_mel(longer), LOG_MEL(longer))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=12), st.integers(0, 100))
def test_blocks_give_what_the_whole_gives(sizes: list[int], seed: int) -> None:
    samples = noise(1 + sum(sizes) / 22_000, seed=seed)[: max(1, sum(sizes))]
    blocks = np.split(samples, np.cumsum(sizes)[:-1])
    in_blocks = np.concatenate(list(LOG_MEL.frames(blocks)))
    whole = LOG_MEL(samples)
    assert in_blocks.shape == whole.shape == (1 + len(samples) // 512, 96)
    np.testing.assert_allclose(in_blocks, whole, atol=1e-5)


def test_long_sounds_come_in_chunks() -> None:
    samples = np.tile(noise(2.0), 60)
    done = list(LOG_MEL.frames([samples]))
    assert len(done) > 1
    assert max(map(len, done)) <= CHUNK_FRAMES
    assert sum(map(len, done)) == 1 + len(samples) // 512


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 100))])
def test_refuses_no_samples_and_channels(samples: np.ndarray) -> None:
    with pytest.raises(InputError, match="samples: expected one dimension, not empty, got"):
        LOG_MEL(samples.astype(np.float32))


def numbered(count: int) -> np.ndarray:
    """Frames whose values are their numbers."""
    return np.repeat(np.arange(count, dtype=np.float32)[:, None], 96, axis=1)


def cut(count: int, tail: str, sizes: tuple[int, ...] = ()) -> tuple[np.ndarray, list[int]]:
    """All windows' frame numbers [n, 96], and the starts."""
    config = default_features(tail=tail)
    blocks = np.split(numbered(count), np.cumsum(sizes))
    parts = list(windows(blocks, config))
    starts = np.concatenate([first for _, first in parts])
    return np.concatenate([patches for patches, _ in parts])[:, :, 0], starts.tolist()


@pytest.mark.parametrize(
    ("count", "tail", "expected"),
    [
        (96, "drop", [0]),
        (96, "align", [0]),
        (97, "drop", [0]),
        (97, "align", [0, 1]),
        (192, "align", [0, 96]),
        (250, "drop", [0, 96]),
        (250, "align", [0, 96, 154]),
        (383, "align", [0, 96, 192, 287]),
    ],
)
def test_window_starts(count: int, tail: str, expected: list[int]) -> None:
    patches, starts = cut(count, tail)
    assert starts == expected
    for patch, start in zip(patches, starts, strict=True):
        assert patch.tolist() == list(range(start, start + 96))


@pytest.mark.parametrize("tail", ["drop", "align"])
def test_less_than_a_window_is_padded_with_silence(tail: str) -> None:
    patches, starts = cut(40, tail)
    assert starts == [0]
    assert patches[0, :40].tolist() == list(range(40))
    np.testing.assert_allclose(patches[0, 40:], np.log(CONFIG.log_offset))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 500),
    st.lists(st.integers(0, 120), max_size=8),
    st.sampled_from(["drop", "align"]),
)
def test_windows_do_not_depend_on_blocks(count: int, sizes: list[int], tail: str) -> None:
    whole, blocks = cut(count, tail), cut(count, tail, tuple(sizes))
    assert whole[1] == blocks[1]
    np.testing.assert_array_equal(whole[0], blocks[0])
    if tail == "align" and count >= 96:
        assert set(range(count)) == set(whole[0].ravel().astype(int))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1000))
def test_loudest_patch_is_the_brute_force(count: int, seed: int) -> None:
    frames = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    sums = {
        start: float(frames[start : start + 96].sum(dtype=np.float64))
        for start in range(0, max(1, count - 95), SEARCH_STEP)
    }
    found = loudest_patch(frames, 96)
    assert sums[found] == pytest.approx(max(sums.values()), abs=1e-6)
    assert found + 96 <= max(count, 96)


def test_mel_filters_are_slaney_normalised() -> None:
    filters = mel_filters(CONFIG)
    assert filters.shape == (96, 513)
    assert filters.dtype == np.float32
    hertz = 22_000 / 1024
    np.testing.assert_allclose(filters[40:].sum(axis=1) * hertz, 1, rtol=0.1)


def test_the_first_starter_s_features_are_librosa_s_power_of_htk_bands() -> None:
    config = FIRST_STARTER.features
    samples = noise(3.0, config.sample_rate)
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=config.sample_rate,
        n_fft=2_048,
        hop_length=1_024,
        n_mels=96,
        htk=True,
        norm=1,
        power=2.0,
    )
    found = LogMel(config, mel_filters(config))(samples)
    np.testing.assert_allclose(found, np.log(power.T + 1e-4), atol=1e-3)


EVERYDAY = everyday_features(min_seconds=0.0)
EVERYDAY_LOG_MEL = LogMel(EVERYDAY, mel_filters(EVERYDAY))


def slow_log_mel(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """EfficientAT's features of one sound, frame by frame, in float64."""
    emphasised = samples[1:].astype(np.float64) - config.pre_emphasis * samples[:-1]
    padded = np.pad(emphasised, config.n_fft // 2, mode="reflect")
    window = np.zeros(config.n_fft)
    before = (config.n_fft - config.window_samples) // 2
    window[before : before + config.window_samples] = np.hanning(config.window_samples)
    filters = mel_filters(config).astype(np.float64)
    starts = range(0, len(padded) - config.n_fft + 1, config.hop)
    powers = [np.abs(np.fft.rfft(padded[at : at + config.n_fft] * window)) ** 2 for at in starts]
    return np.log(np.stack(powers) @ filters.T + config.log_offset)


@pytest.mark.parametrize("level", [1.0, 1e-4])
def test_the_everyday_features_are_their_definition(level: float) -> None:
    samples = ((noise(0.7, 32_000) + sine(0.7, 3000, 32_000)) * level).astype(np.float32)
    expected = slow_log_mel(samples, EVERYDAY)
    found = EVERYDAY_LOG_MEL(samples)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (1 + (len(samples) - 1) // 320, 128)
    np.testing.assert_allclose(found, expected, atol=1e-3)  # the transform is in float32


def test_a_sound_at_full_scale_hides_no_quiet_band() -> None:
    """The transform is in float32 there: its rounding noise stays far below the offset."""
    samples = sine(0.3, 440.0, 32_000, level=1.0)
    np.testing.assert_allclose(
        EVERYDAY_LOG_MEL(samples), slow_log_mel(samples, EVERYDAY), atol=1e-3
    )


def test_kaldis_bands_are_equally_wide_in_mel() -> None:
    filters = mel_filters(EVERYDAY)
    assert filters.shape == (128, 513)
    assert filters.dtype == np.float32
    assert 0 <= filters.min() <= filters.max() <= 1
    mel = 1127 * np.log(1 + np.arange(513) * (32_000 / 1024) / 700)
    step = 1127 * np.log(1 + 15_000 / 700) / 129
    for band in (40, 100, 127):
        inside = np.flatnonzero(filters[band])
        assert band * step < mel[inside].min() < mel[inside].max() < (band + 2) * step
        heights = 1 - np.abs(mel[inside] - (band + 1) * step) / step
        np.testing.assert_allclose(filters[band, inside], heights, atol=1e-5)
    assert not filters[:, 481:].any()  # nothing above 15,000 Hz
    inner = filters[:, (mel > 40 * step) & (mel < 128 * step)]
    np.testing.assert_allclose(inner.sum(axis=0), 1, atol=1e-5)  # neighbours share each bin
    whole = mel_filters(everyday_features(max_hz=0.0))
    assert whole[:, 481:512].any()
    assert not whole[:, 512].any()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.1]),
    st.integers(0, 100),
)
def test_blocks_of_any_size_are_reflected_and_emphasised_alike(
    sizes: list[int], min_seconds: float, seed: int
) -> None:
    config = everyday_features(min_seconds=min_seconds)
    log_mel = LogMel(config, EVERYDAY_LOG_MEL._filters.T)
    count = max(1, sum(sizes))
    samples = noise(0.5 + count / 32_000, 32_000, seed)[:count]
    whole = log_mel(samples)
    in_blocks = np.concatenate(list(log_mel.frames(np.split(samples, np.cumsum(sizes)[:-1]))))
    assert in_blocks.shape == whole.shape
    np.testing.assert_allclose(in_blocks, whole, atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 320, 511, 512, 513, 514, 800, 1024, 9600, 100_000])
def test_sounds_of_any_length_fill_whole_windows(count: int) -> None:
    samples = noise(4.0, 32_000)[:count]
    found = EVERYDAY_LOG_MEL(samples)
    assert len(found) == 1 + max(count - 1, 513) // 320
    assert np.isfinite(found).all()
    config = everyday_features()
    frames = LogMel(config, EVERYDAY_LOG_MEL._filters.T).frames([samples])
    patches, starts = (np.concatenate(part) for part in zip(*windows(frames, config), strict=True))
    assert patches.shape[1:] == (256, 128)
    assert np.isfinite(patches).all()
    assert len(patches) == len(starts) == (1 if count <= 81_601 else 2)


def test_silence_is_the_offset_in_the_everyday_features_too() -> None:
    frames = EVERYDAY_LOG_MEL(np.zeros(5000, np.float32))
    np.testing.assert_allclose(frames, np.log(1e-5), rtol=1e-6)


def test_a_window_of_the_transform_fits_into_it() -> None:
    for samples in (-1, 1025):
        with pytest.raises(ConfigError, match=f"window_samples from 0 to 1024, got {samples}"):
            ModelConfig("wide", 4, features=everyday_features(window_samples=samples))
