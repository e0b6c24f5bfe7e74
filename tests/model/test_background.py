"""Standard scores of labels, by the moments of sounds at large."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.background import MIN_DEVIATION, Background
from earmark.model.embedder import unit


def vectors(count: int, dim: int, seed: int) -> np.ndarray:
    """Unit vectors that lie around a direction, as those of sounds do."""
    generator = np.random.default_rng(seed)
    return unit(generator.standard_normal((count, dim)) + 2 * generator.standard_normal(dim))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 8), st.integers(0, 1000))
def test_moments_are_those_of_the_cosines(count: int, dim: int, labels: int, seed: int) -> None:
    sounds, names = vectors(count, dim, seed), vectors(labels, dim, seed + 1)
    background = Background.of(sounds)
    assert background.mean.shape == (dim,)
    assert background.covariance.shape == (dim, dim)
    assert background.mean.dtype == background.covariance.dtype == np.float32
    cosines = names.astype(np.float64) @ sounds.T
    mean, deviation = background.moments(names)
    np.testing.assert_allclose(mean, cosines.mean(axis=1), atol=1e-5)
    expected = np.maximum(cosines.std(axis=1), MIN_DEVIATION)
    np.testing.assert_allclose(deviation**2, expected**2, atol=1e-5)
    scores = background.standard_scores(names, sounds[0])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, (names @ sounds[0] - mean) / deviation, rtol=1e-5)


def test_scores_of_sounds_at_large_are_standard() -> None:
    sounds, names = vectors(500, 8, 0), vectors(5, 8, 1)
    background = Background.of(sounds)
    scores = np.stack([background.standard_scores(names, sound) for sound in sounds])
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=1e-3)


def test_a_label_that_never_varies_is_not_divided_by_zero() -> None:
    background = Background.of(np.ones((3, 1), np.float32))
    mean, deviation = background.moments(np.ones((1, 1), np.float32))
    assert mean[0] == pytest.approx(1)
    assert deviation[0] == pytest.approx(MIN_DEVIATION)
