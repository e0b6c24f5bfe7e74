"""Decoding what is sound: formats, channels, rates, lengths, sums. Bad input: the next file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.audio.decode import SoundReader, decode
from earmark.model.audio.raw_samples import BLOCK_VALUES
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.errors import AudioError
from tests.model.tiny import ALL_KINDS, RATE, SOUNDFILE_KINDS, noise, sine, write_sine

# Encoders that pad or shift by up to a frame or two, in seconds.
LOSSY_SLACK = 0.06


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    size = min(len(one), len(other))
    return float(np.corrcoef(one[:size], other[:size])[0, 1])


def tone(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Strongest frequency in Hz, and the share of the energy within 10 Hz of it."""
    energy = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    peak = hertz[energy.argmax()]
    return float(peak), float(energy[np.abs(hertz - peak) < 10].sum() / energy.sum())


@pytest.mark.parametrize("name", ALL_KINDS)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_a_sine_stays_a_sine_in_every_format(tmp_path: Path, name: str, as_bytes: bool) -> None:
    path = write_sine(tmp_path, name)
    samples = decode(path.read_bytes() if as_bytes else path, RATE)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) / RATE == pytest.approx(1.0, abs=LOSSY_SLACK)
    hertz, share = tone(samples[2000:-2000], RATE)
    assert hertz == pytest.approx(440, abs=2)
    assert share > 0.99
    assert np.abs(samples[2000:-2000]).max() == pytest.approx(0.5, abs=0.05)


def test_a_file_and_its_bytes_are_the_same(tmp_path: Path) -> None:
    for name in ALL_KINDS:
        path = write_sine(tmp_path, name)
        np.testing.assert_array_equal(decode(path, RATE), decode(path.read_bytes(), RATE))


def test_the_name_does_not_matter(tmp_path: Path) -> None:
    path = write_sine(tmp_path, "a.flac")
    expected = decode(path, RATE)
    for name in ("b.wav", "b", "b.txt", "b.mp3"):
        other = tmp_path / name
        other.write_bytes(path.read_bytes())
        np.testing.assert_array_equal(decode(other, RATE), expected)


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    left, right = noise(0.5, seed=1), noise(0.5, seed=2)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(decode(tmp_path / "a.wav", RATE), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_resampling_keeps_length_phase_and_level(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", sine(1.5, 1000, rate), rate, subtype="FLOAT")
    samples = decode(tmp_path / "a.wav", RATE)
    assert abs(len(samples) - 1.5 * RATE) <= 1
    expected = sine(1.5, 1000, RATE)[: len(samples)]
    np.testing.assert_allclose(samples[500:-500], expected[500 : len(samples) - 500], atol=2e-3)


def test_resampling_does_not_fold_high_tones_down(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(1.0, 15_000, 48_000), 48_000, subtype="FLOAT")
    assert np.abs(decode(tmp_path / "a.wav", RATE)[500:-500]).max() < 1e-3


@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(8_000, 1, "PCM_U8"), (96_000, 6, "PCM_24"), (11_025, 2, "ULAW"), (192_000, 2, "DOUBLE")],
)
def test_unusual_wavs(tmp_path: Path, rate: int, channels: int, subtype: str) -> None:
    wide = np.repeat(sine(0.5, 440, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / "a.wav", wide, rate, format="WAV", subtype=subtype)
    reader = SoundReader(tmp_path / "a.wav", RATE)
    samples = np.concatenate(list(reader.blocks()))
    assert (reader.info.sample_rate, reader.info.channels) == (rate, channels)
    assert tone(samples[500:-500], RATE)[0] == pytest.approx(440, abs=5)


def info(source: Path | bytes) -> SoundInfo:
    reader = SoundReader(source, RATE)
    for _ in reader.blocks():
        pass
    return reader.info


def test_info_counts_the_file_as_it_is(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((72_000, 2)), 48_000)
    found = info(tmp_path / "a.wav")
    assert (found.sample_rate, found.channels, found.frames) == (48_000, 2, 72_000)
    assert found.duration == 1.5


def test_the_sum_is_of_the_sound_not_of_the_file(tmp_path: Path) -> None:
    samples = (noise(0.8) * 30_000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "a.flac", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "a.aiff", samples, RATE, subtype="PCM_16")
    sums = {info(tmp_path / name).sha256 for name in ("a.wav", "a.flac", "a.aiff")}
    assert len(sums) == 1
    assert len(sums.pop()) == 64
    samples[100] += 1
    soundfile.write(tmp_path / "b.wav", samples, RATE, subtype="PCM_16")
    assert info(tmp_path / "b.wav").sha256 != info(tmp_path / "a.wav").sha256


@pytest.mark.parametrize("name", SOUNDFILE_KINDS)
def test_blocks_join_without_a_seam(tmp_path: Path, name: str) -> None:
    """Longer than one block of 20 s, against soundfile reading it at once."""
    kind, subtype, rate = SOUNDFILE_KINDS[name]
    path = tmp_path / name
    soundfile.write(path, noise(45, rate), rate, format=kind, subtype=subtype)
    blocks = list(SoundReader(path, rate).blocks())
    assert len(blocks) == 3
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)


def test_resampled_blocks_join_without_a_seam(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sine(45, 1000, 48_000), 48_000, subtype="FLOAT")
    samples = decode(tmp_path / "a.wav", RATE)
    expected = sine(45, 1000, RATE)[: len(samples)]
    np.testing.assert_allclose(samples[500:-500], expected[500 : len(samples) - 500], atol=2e-3)


def test_many_channels_come_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((300_000, 60), np.int16), 96_000, format="WAV")
    blocks = list(SoundReader(path, 96_000).blocks())
    assert sum(map(len, blocks)) == 300_000
    assert max(map(len, blocks)) <= BLOCK_VALUES / 60


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    reader = SoundReader(write_sine(tmp_path, "a.mp3"), RATE)
    first = np.concatenate(list(reader.blocks()))
    seen = reader.info
    np.testing.assert_array_equal(np.concatenate(list(reader.blocks())), first)
    assert reader.info == seen


def test_max_seconds_lets_through_what_fits(tmp_path: Path) -> None:
    path = write_sine(tmp_path, "a.wav", 2.0)
    for limit in (2.0, 3.0, None):
        reader = SoundReader(path, RATE, max_seconds=limit)
        assert sum(map(len, reader.blocks())) == 2 * RATE
    with pytest.raises(AudioError, match=r"bark: expected at most 1\.5 s of sound, got more"):
        list(SoundReader(path, RATE, "bark", max_seconds=1.5).blocks())


@pytest.mark.parametrize("name", ["a.flac", "a.webm"])
def test_max_seconds_acts_before_everything_is_decoded(tmp_path: Path, name: str) -> None:
    reader = SoundReader(write_sine(tmp_path, name, 120), RATE, max_seconds=5)
    with pytest.raises(AudioError, match="expected at most 5 s"):
        list(reader.blocks())
    assert reader.info.duration <= 25
