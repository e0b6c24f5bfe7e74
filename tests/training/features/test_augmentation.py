"""Augmentation: drawn for a whole batch, applied to any of its rows, never out of bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earmark.model.config import FeatureConfig
from earmark.training.features.augmentation import Augmentation
from earmark.training.recipe import Recipe
from tests.training.tiny import QUICK

CONFIG = FeatureConfig()
FLOOR = float(np.log(CONFIG.log_offset))
ALL = slice(None)
PLAIN = QUICK.without_augmentation()
EVERY = replace(PLAIN, gain=2.0, mask_frames=20, mask_mels=12)


def patches(count: int, frames: int = 96, mels: int = 96, seed: int = 0) -> Tensor:
    """Log-mel windows between silence and loud, with some silence in them."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, frames, mels, generator=generator) * 20 + FLOOR
    return torch.where(noise < FLOOR + 2, FLOOR, noise)


def draw(count: int, recipe: Recipe, seed: int = 0, config: FeatureConfig = CONFIG) -> Augmentation:
    return Augmentation.draw(count, recipe, config, np.random.default_rng(seed))


def test_nothing_is_drawn_for_a_plain_recipe() -> None:
    generator = np.random.default_rng(0)
    before = generator.bit_generator.state
    drawn = Augmentation.draw(5, PLAIN, CONFIG, generator)
    assert generator.bit_generator.state == before
    windows = patches(5)
    assert drawn.apply(windows, ALL) is windows


@pytest.mark.parametrize("field", ["gain", "mask_frames", "mask_mels"])
def test_each_augmentation_is_drawn_alone(field: str) -> None:
    drawn = draw(5, replace(PLAIN, **{field: getattr(EVERY, field)}))
    assert (drawn.gain is not None) == (field == "gain")
    axes = {"mask_frames": [1], "mask_mels": [2]}.get(field, [])
    assert list(drawn.masks) == axes


def test_a_seed_repeats_the_draw() -> None:
    windows = patches(5)
    first, again, other = (draw(5, EVERY, seed).apply(windows, ALL) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "rows", [ALL, slice(0, 4), slice(4, 8), slice(7, 8), slice(3, 3), slice(0, 8, 2)], ids=str
)
def test_rows_get_what_was_drawn_for_them(rows: slice) -> None:
    windows, drawn = patches(8), draw(8, EVERY)
    whole = drawn.apply(windows, ALL)
    assert torch.equal(drawn.apply(windows[rows], rows), whole[rows])
    assert not torch.equal(whole, windows)


def test_what_is_shown_is_not_changed() -> None:
    windows = patches(4)
    draw(4, EVERY).apply(windows, ALL)
    assert torch.equal(windows, patches(4))


@pytest.mark.parametrize(("axis", "field"), [(1, "mask_frames"), (2, "mask_mels")])
def test_masks_lie_on_their_axis(axis: int, field: str) -> None:
    drawn = draw(6, replace(PLAIN, **{field: 30}), seed=3)
    windows = patches(6).clamp(min=FLOOR + 1)
    masked = drawn.apply(windows, ALL)
    for row, (first, end) in enumerate(drawn.masks[axis].tolist()):
        inside = torch.zeros(96, dtype=torch.bool)
        inside[first:end] = True
        hidden, left = masked[row].movedim(axis - 1, 0), windows[row].movedim(axis - 1, 0)
        assert bool((hidden[inside] == FLOOR).all())
        assert torch.equal(hidden[~inside], left[~inside])


def test_every_width_and_place_can_be_drawn() -> None:
    config = replace(CONFIG, frames=7)
    edges = draw(4000, replace(PLAIN, mask_frames=3), config=config).masks[1]
    seen = {(end - first, first) for first, end in edges.tolist()}
    assert seen == {(width, first) for width in range(4) for first in range(7 - width + 1)}


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 12), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_masks_stay_within_bounds(
    data: st.DataObject, count: int, frames: int, mels: int, seed: int
) -> None:
    widest = [data.draw(st.integers(0, size)) for size in (frames, mels)]
    recipe = replace(EVERY, mask_frames=widest[0], mask_mels=widest[1])
    config = replace(CONFIG, frames=frames, n_mels=mels)
    drawn = draw(count, recipe, seed, config)
    for axis, size in ((1, frames), (2, mels)):
        if not widest[axis - 1]:
            assert axis not in drawn.masks
            continue
        first, end = drawn.masks[axis].T
        assert (first >= 0).all()
        assert (end <= size).all()
        assert (first <= end).all()
        assert (end - first <= widest[axis - 1]).all()
    masked = drawn.apply(patches(count, frames, mels, seed), ALL)
    assert masked.shape == (count, frames, mels)
    assert masked.dtype == torch.float32
    assert float(masked.min()) >= np.float32(FLOOR)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 10), st.integers(0, 99))
def test_gain_changes_the_sound_and_not_what_stands_for_silence(gain: float, seed: int) -> None:
    windows = patches(6, 8, 8, seed)
    drawn = draw(6, replace(PLAIN, gain=gain), seed)
    assert drawn.gain is not None
    assert drawn.gain.dtype == np.float32
    assert (np.abs(drawn.gain) <= np.float32(gain)).all()
    assert len(set(drawn.gain.tolist())) == 6
    factors = torch.from_numpy(np.exp(drawn.gain.astype(np.float64)))[:, None, None]
    power = (windows.double().exp() - CONFIG.log_offset).clamp(min=0) * factors
    expected = torch.log(power + CONFIG.log_offset).float()
    torch.testing.assert_close(drawn.apply(windows, ALL), expected, atol=2e-3, rtol=0)
    assert float(drawn.apply(windows, ALL).min()) >= np.float32(FLOOR) - 2e-3


def test_silence_stays_silent_where_it_is_masked() -> None:
    """The floor is set after the gain: a mask is silence, however loud the rest was made."""
    recipe = replace(PLAIN, gain=5.0, mask_frames=50)
    drawn = draw(40, recipe, seed=1)
    masked = drawn.apply(patches(40), ALL)
    for row, (first, end) in enumerate(drawn.masks[1].tolist()):
        assert bool((masked[row, first:end] == FLOOR).all())
