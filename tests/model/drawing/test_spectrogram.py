"""Spectrograms: tones where they belong, whatever the blocks; and PNG files that others read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from earmark.model.drawing.png import grey_png
from earmark.model.drawing.spectrogram import FLOOR_DB, TOP_DB, Canvas, Spectrogram
from tests.model.tiny import noise

RATE = 16_000


def drawn(
    samples: np.ndarray, width: int, height: int, cuts: tuple[int, ...] = (), seconds: float = 0
) -> np.ndarray:
    """The image [height, width] of samples that come in blocks."""
    canvas = Canvas(width, height, seconds or len(samples) / RATE)
    spectrogram = Spectrogram(canvas, RATE)
    for block in np.split(samples, sorted(cuts)):
        spectrogram.add(block)
    return spectrogram.image()


def tone(hertz: float, decibels: float, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    wave = 10 ** (decibels / 20) * np.sin(2 * np.pi * hertz * times)
    return wave.astype(np.float32)


def row_of(hertz: float, height: int) -> int:
    share = np.log(1 + hertz / 700) / np.log(1 + RATE / 2 / 700)
    return int(height * (1 - share))


@pytest.mark.parametrize("hertz", [150.0, 1_000.0, 3_000.0, 7_000.0])
def test_a_tone_is_at_its_height_and_as_loud_as_it_is(hertz: float) -> None:
    image = drawn(tone(hertz, -40), 50, 100)
    middle = image[:, 5:-5]
    assert np.abs(middle.argmax(axis=0) - row_of(hertz, 100)).max() <= 1
    decibels = FLOOR_DB + middle.max(axis=0) / 255 * (TOP_DB - FLOOR_DB)
    assert decibels == pytest.approx(-40, abs=4)  # less on the edge of two rows
    far = [row for row in range(100) if abs(row - row_of(hertz, 100)) > 25]
    assert middle[far].max() < 20


def test_times_are_columns() -> None:
    silence = np.zeros(RATE, dtype=np.float32)
    image = drawn(np.concatenate([silence, tone(1000, -30), silence]), 90, 40)
    loud = np.flatnonzero(image.max(axis=0) > 120)
    assert (loud.min(), loud.max()) == (pytest.approx(30, abs=1), pytest.approx(59, abs=1))
    assert image[:, :28].max() == 0


def test_a_click_in_a_long_sound_is_seen_whatever_its_column() -> None:
    samples = np.zeros(60 * RATE, dtype=np.float32)
    samples[41 * RATE + 77] = 1.0
    image = drawn(samples, 30, 20)
    assert np.flatnonzero(image.max(axis=0)).tolist() == [20]


def test_less_sound_than_expected_is_silent_at_the_end_and_more_is_left_out() -> None:
    short = drawn(tone(1000, -30), 40, 20, seconds=2)
    assert short[:, :19].max(axis=0).min() > 120
    assert short[:, 22:].max() == 0
    assert np.array_equal(
        drawn(tone(1000, -30, 2), 40, 20, seconds=1), drawn(tone(1000, -30, 1.5), 40, 20, seconds=1)
    )


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(1, 5_000),
    width=st.integers(1, 300),
    height=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 5_000), max_size=6),
)
def test_blocks_of_any_size_give_the_same(
    count: int, width: int, height: int, cuts: list[int]
) -> None:
    samples = noise(count / RATE, seed=1)[:count].astype(np.float32)
    image = drawn(samples, width, height, tuple(cut for cut in cuts if cut < count))
    assert image.shape == (height, width)
    assert np.array_equal(image, drawn(samples, width, height))


@settings(max_examples=25, deadline=None)
@given(width=st.integers(1, 70), height=st.integers(1, 70), seed=st.integers(0, 9))
def test_png_files_are_read_by_others(width: int, height: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    with Image.open(io.BytesIO(grey_png(values))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "L", (width, height))
        assert np.array_equal(np.asarray(image), values)
