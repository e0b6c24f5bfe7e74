"""Waveform peaks against the whole sound at once; memory; reading in a process."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.core.errors import AudioError
from earmark.model.drawing.waveform import BUCKETS_PER_POINT, peaks
from earmark.model.inference.decode_pool import Block, DecodePool
from tests.model.tiny import ALL_KINDS, noise, sine, tiny_config, write, write_sine


def blocks(samples: np.ndarray, *sizes: int) -> list[np.ndarray]:
    """The samples in blocks of these sizes, and the rest."""
    return np.split(samples, np.cumsum(sizes))


def slow(samples: np.ndarray, points: int, slack: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each stretch, its ends moved outwards by `slack` stretches."""
    width = len(samples) / points
    found = []
    for number in range(points):
        first = max(0, int(np.floor((number - slack) * width)))
        last = min(len(samples), int(np.ceil((number + 1 + slack) * width)))
        segment = samples[first : max(last, first + 1)]
        found.append((segment.min(), segment.max()))
    low, high = np.array(found).T
    return np.rint(np.clip(low, -1, 1) * 127), np.rint(np.clip(high, -1, 1) * 127)


@pytest.mark.parametrize("points", [1, 7, 100])
def test_stretches_of_whole_buckets_are_exact(points: int) -> None:
    samples = noise(1.0)[: BUCKETS_PER_POINT * points * 2]
    samples[3], samples[5] = 2.0, -3.0  # louder than full scale is cut
    found = peaks(blocks(samples, 10, 1, 0, 500), points)
    low, high = slow(samples, points)
    np.testing.assert_array_equal(found, np.stack([low, high], axis=1))
    assert (found.dtype, found[0].tolist()) == (np.int8, [-127, 127])


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(1, 30_000),
    points=st.integers(1, 300),
    sizes=st.lists(st.integers(0, 9_000), max_size=5),
)
def test_any_length_in_any_blocks(count: int, points: int, sizes: list[int]) -> None:
    samples = np.random.default_rng(count).uniform(-1, 1, count).astype(np.float32)
    found = peaks(blocks(samples, *sizes), points)
    assert found.shape == (points, 2)
    np.testing.assert_array_equal(found, peaks([samples], points))  # blocks change nothing
    # Within stretches that are a little longer, and around those that are a little shorter.
    low, high = slow(
        samples,
        points,
        1.01 if count < BUCKETS_PER_POINT * points else 2.1 / BUCKETS_PER_POINT + 0.01,
    )
    assert (found[:, 0] >= low).all()
    assert (found[:, 1] <= high).all()
    if count >= BUCKETS_PER_POINT * points:
        low, high = slow(samples, points, -2.1 / BUCKETS_PER_POINT - 0.01)
        assert (found[:, 0] <= low).all()
        assert (found[:, 1] >= high).all()
    assert found[:, 0].min() == round(float(samples.min()) * 127)
    assert found[:, 1].max() == round(float(samples.max()) * 127)


def test_memory_does_not_grow_with_the_length() -> None:
    block = noise(1.0)

    def peak_memory(seconds: int) -> int:
        tracemalloc.start()
        peaks((block for _ in range(seconds)), 500)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert peak_memory(600) < 1.1 * peak_memory(60)


@pytest.fixture(scope="module")
def log_mel() -> LogMel:
    features = tiny_config("starter").features
    return LogMel(features, mel_filters(features))


@pytest.mark.parametrize("name", ALL_KINDS)
def test_every_format_is_drawn_in_a_process(log_mel: LogMel, tmp_path: Path, name: str) -> None:
    path = write_sine(tmp_path, name)
    with DecodePool(log_mel, 1) as readers:
        *_, info = readers.read(path, "bark")
        drawn = readers.waveform(path, "bark", 50, info.sample_rate)
    assert drawn.info == info
    reader = SoundReader(path, info.sample_rate)
    np.testing.assert_array_equal(drawn.peaks, peaks(reader.blocks(), 50))
    assert np.median(drawn.peaks[:, 1]) == pytest.approx(0.5 * 127, abs=4)
    assert np.median(drawn.peaks[:, 0]) == pytest.approx(-0.5 * 127, abs=4)


def test_a_long_sound_and_then_windows_by_the_same_process(log_mel: LogMel, tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", np.tile(sine(10), 12))
    with DecodePool(log_mel, 1) as readers:
        assert readers.waveform(path, "bark", 3, 22_000).info.duration == 120
        block, *_ = readers.read(path, "bark")
        assert isinstance(block, Block)


def test_what_is_no_sound_is_not_drawn(log_mel: LogMel, tmp_path: Path) -> None:
    good = write(tmp_path / "a.wav", sine(0.5))
    with DecodePool(log_mel, 1) as readers:
        for bad in (tmp_path / "missing.wav", b"rubbish"):
            with pytest.raises(AudioError, match=r"^bark: "):
                readers.waveform(bad, "bark", 10, 22_000)
        with pytest.raises(TimeoutError, match="bark: not decoded in time"):
            readers.waveform(good, "bark", 10, 22_000, deadline=0.0)
        assert readers.waveform(good, "bark", 10, 22_000).peaks.shape == (10, 2)
