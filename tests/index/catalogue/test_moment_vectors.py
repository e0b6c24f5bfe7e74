"""Windows of a long sound as an index holds them: what stands out of the rest is near."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.catalogue import moment_vectors as module
from earmark.index.catalogue.moment_vectors import moment_scores, moment_vectors

DIM = 48


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def rain(count: int, seed: int = 0) -> np.ndarray:
    """Windows of one background, which varies most in a few directions."""
    chance = np.random.default_rng(seed)
    widths = np.where(np.arange(DIM) < 4, 0.5, 0.02)
    return unit(np.eye(DIM)[0] + chance.standard_normal((count, DIM)) * widths)


@pytest.mark.parametrize("count", [2, 9, DIM - 1, DIM, DIM + 1, 200])
def test_rows_are_what_the_formula_says(count: int) -> None:
    windows = rain(count).astype(np.float64)
    apart = windows - windows.mean(axis=0)
    prior = module.PRIOR * module.PRIOR_SPREAD / DIM * np.eye(DIM)
    covariance = (apart.T @ apart + prior) / (count + module.PRIOR)
    t = np.trace(covariance) / DIM
    inverse = np.linalg.inv(covariance + module.RIDGE * t * np.eye(DIM))
    expected = module.SCALE * count**-0.25 * np.sqrt(t) * apart @ inverse
    np.testing.assert_allclose(moment_vectors(rain(count)), expected, rtol=1e-3, atol=1e-5)


def test_an_event_that_many_windows_outshine_by_cosine_is_found() -> None:
    """A bark in rain: by cosines, windows of a lively background are nearer to the query."""
    windows, bark = rain(300), np.eye(DIM, dtype=np.float32)[DIM - 1]
    query = unit(bark + 0.5 * np.eye(DIM, dtype=np.float32)[1])
    windows[123] = unit(windows[123] + 0.4 * bark)
    assert (windows @ query > windows[123] @ query).sum() > 10
    assert (moment_vectors(windows) @ query).argmax() == 123


def test_windows_that_are_all_the_same_stand_out_nowhere() -> None:
    same = np.repeat(rain(1), 20, axis=0)
    np.testing.assert_allclose(moment_vectors(same), 0, atol=1e-5)
    np.testing.assert_allclose(moment_vectors(rain(1)), 0)
    assert moment_vectors(np.zeros((0, DIM), np.float32)).shape == (0, DIM)


@pytest.mark.parametrize("count", [0, 1, 9, DIM, 500])
def test_scores_are_those_of_the_rows(count: int) -> None:
    windows, query = rain(count), unit(np.random.default_rng(2).standard_normal(DIM))
    expected = moment_vectors(windows) @ query
    np.testing.assert_allclose(moment_scores(windows, query), expected, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 120), seed=st.integers(0, 1_000))
def test_rows_are_finite_and_apart_from_the_mean(count: int, seed: int) -> None:
    rows = moment_vectors(rain(count, seed))
    assert rows.dtype == np.float32 and np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(axis=0), 0, atol=1e-3)


def test_scores_of_other_things_are_alike_whatever_the_length() -> None:
    """The best of thousands of windows is no nearer to anything than a short sound is."""
    queries = unit(np.random.default_rng(1).standard_normal((200, DIM)))
    best = [
        np.quantile((queries @ moment_vectors(rain(count)).T).max(axis=1), 0.9)
        for count in (10, 100, 1_000)
    ]
    assert max(best) < 2.5 * min(best), best
