"""Thresholds that learn: from the calibrated value on, towards where half would be accepted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.curation.thresholds import SPREAD, learned_threshold, logit, lowest

PROBABILITY = st.floats(0.001, 0.999)
VERDICTS = st.lists(st.tuples(PROBABILITY, st.booleans()), max_size=30)


def learned(start: float, verdicts: list[tuple[float, bool]]) -> float:
    pairs = np.array(verdicts, np.float64).reshape(-1, 2)
    return learned_threshold(start, pairs[:, 0], pairs[:, 1])


def test_without_verdicts_it_is_the_calibrated_one() -> None:
    assert learned(0.0756, []) == 0.0756


@given(PROBABILITY, VERDICTS, PROBABILITY)
def test_accepting_never_raises_it_and_rejecting_never_lowers_it(
    start: float, verdicts: list[tuple[float, bool]], probability: float
) -> None:
    now = learned(start, verdicts)
    assert learned(start, [*verdicts, (probability, True)]) <= now + 1e-9
    assert learned(start, [*verdicts, (probability, False)]) >= now - 1e-9
    assert lowest(np.array(start)) - 1e-9 <= now < 1


@given(PROBABILITY, VERDICTS)
def test_it_is_the_most_probable_one(start: float, verdicts: list[tuple[float, bool]]) -> None:
    def log_posterior(b: float) -> float:
        offsets = [float(logit(np.array(p)) - logit(np.array(start))) + b for p, _ in verdicts]
        terms = [-np.logaddexp(0, -x if yes else x)
                 for x, (_, yes) in zip(offsets, verdicts, strict=True)]  # fmt: skip
        return float(sum(terms)) - b**2 / (2 * SPREAD**2)

    b = float(logit(np.array(start)) - logit(np.array(learned(start, verdicts))))
    for nearby in (b - 0.05, b + 0.05):
        if nearby <= 1.0:  # as low as it can become
            assert log_posterior(b) >= log_posterior(nearby) - 1e-6


def test_many_verdicts_bring_it_to_where_half_are_accepted() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.uniform(0.05, 0.9, 2_000)
    right = generator.random(2_000) < 1 / (1 + np.exp(-(logit(probabilities) - 0.5)))
    half = 1 / (1 + np.exp(-0.5))  # where the logit is 0.5
    assert learned_threshold(0.2, probabilities, right) == pytest.approx(half, abs=0.03)
