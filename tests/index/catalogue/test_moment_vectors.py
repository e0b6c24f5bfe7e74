"""Windows of a long sound as an index holds them: what stands out of the rest is near."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.catalogue import moment_vectors as module
from earmark.index.catalogue.moment_vectors import moment_vectors

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
    size = count + module.PRIOR
    prior = module.PRIOR * module.PRIOR_SPREAD / DIM * np.eye(DIM)
    apart = (windows - windows.mean(axis=0)) * count / (count - 1)  # from the mean of the others
    t = np.trace(apart.T @ apart + prior) / size / DIM
    share = module.FEW / (module.FEW + count)
    scale = module.SCALE * (1 + count / module.MANY) ** -0.2 * np.sqrt(t)
    rows = moment_vectors(rain(count))
    for number in range(0, count, 7):
        others = np.delete(apart, number, axis=0)
        covariance = (others.T @ others + prior) / size
        whitened = np.linalg.solve(covariance + module.RIDGE * t * np.eye(DIM), apart[number])
        expected = share * windows[number] + (1 - share) * scale * whitened
        np.testing.assert_allclose(rows[number], expected, rtol=1e-3, atol=1e-5)


def test_an_event_that_many_windows_outshine_by_cosine_is_found() -> None:
    """A bark in rain: by cosines, windows of a lively background are nearer to the query."""
    windows, bark = rain(300), np.eye(DIM, dtype=np.float32)[DIM - 1]
    query = unit(bark + 0.5 * np.eye(DIM, dtype=np.float32)[1])
    windows[123] = unit(windows[123] + 0.4 * bark)
    assert (windows @ query > windows[123] @ query).sum() > 10
    assert (moment_vectors(windows) @ query).argmax() == 123


def test_where_nothing_stands_out_a_few_windows_count_as_they_are() -> None:
    same = np.repeat(rain(1), 20, axis=0)
    np.testing.assert_allclose(moment_vectors(same), same / 2, atol=1e-5)
    np.testing.assert_array_equal(moment_vectors(rain(1)), rain(1))
    assert moment_vectors(np.zeros((0, DIM), np.float32)).shape == (0, DIM)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 120), seed=st.integers(0, 1_000))
def test_rows_are_finite_and_of_the_size_of_unit_vectors(count: int, seed: int) -> None:
    rows = moment_vectors(rain(count, seed))
    assert rows.dtype == np.float32 and np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) < 3).all()


def test_the_best_of_many_windows_is_no_nearer_to_anything_than_that_of_few() -> None:
    queries = unit(np.random.default_rng(1).standard_normal((200, DIM)))
    few, many = (
        [(queries @ each.T).max(axis=1).mean() for each in (windows, moment_vectors(windows))]
        for windows in (rain(10), rain(1_000))
    )
    assert many[0] > 1.2 * few[0]  # by cosines it is
    assert many[1] <= few[1]
