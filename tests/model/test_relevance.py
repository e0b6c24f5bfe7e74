"""Probabilities of hits, as a card states their curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.relevance import MAYBE, SURE, RelevanceCurve, confidence

CURVE = RelevanceCurve(12.0, 0.4, -0.5, -3.0, (-4.0, 8.0, -2.0, 1.5), (50, 1_600))


def by_the_formula(cosine: float, standard: float, clips: int, held: float) -> float:
    heard = 12 * cosine + 0.4 * standard - 0.5 * math.log(min(max(clips, 50), 1_600)) - 3
    logit = heard + held * (-4 + 8 * held + (-2 + 1.5 * held) * heard)
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("clips", [0, 3, 50, 700, 1_600, 10_000_000])
def test_both_ways_of_computing_follow_the_formula(clips: int) -> None:
    draws = np.random.default_rng(clips)
    cosines, held = draws.uniform(-1, 1, 40), draws.choice([0.0, 0.3, 1.0], 40)
    mean, deviation = 0.02, 0.07
    standard = (cosines - mean) / deviation
    expected = [
        by_the_formula(*values, clips, share)
        for *values, share in zip(cosines, standard, held, strict=True)
    ]
    of_any = CURVE.probabilities(cosines, standard, np.full(40, clips), held)
    np.testing.assert_allclose(of_any, expected, atol=1e-12)
    of_one = CURVE.of_query(cosines, (mean, deviation), clips, held)
    np.testing.assert_allclose(of_one, expected, atol=1e-12)
    np.testing.assert_allclose(
        CURVE.of_query(cosines, (mean, deviation), clips),
        CURVE.of_query(cosines, (mean, deviation), clips, np.zeros(40)),
    )


def test_without_a_level_the_cosine_alone_counts() -> None:
    [probability] = CURVE.of_query(np.array([0.3]), None, 100)
    assert probability == pytest.approx(by_the_formula(0.3, 0.0, 100, 0.0))
    assert not len(CURVE.of_query(np.zeros(0), None, 100))


def test_a_probability_in_a_word() -> None:
    said = [confidence(value) for value in (0.0, MAYBE - 1e-9, MAYBE, SURE - 1e-9, SURE, 1.0)]
    assert said == ["unlikely", "unlikely", "maybe", "maybe", "sure", "sure"]


def test_a_card_states_curves_or_none() -> None:
    stated = {**vars(CURVE), "ece": 0.01}
    assert RelevanceCurve.from_card({"relevance": {"words": stated}}, "words") == CURVE
    assert RelevanceCurve.from_card({"relevance": {"words": stated}}, "sounds") is None
    assert RelevanceCurve.from_card({}, "words") is None


def test_the_starter_model_is_calibrated_on_sources_left_out() -> None:
    """Expected calibration error of at most 0.05, of hits by what is heard and by words as well."""
    stated = load_embedder(starter_model()).card["relevance"]
    for kind in ("words", "sounds"):
        assert stated[kind]["ece"] <= 0.05
        assert max(stated[kind]["ece_by_part"].values()) <= 0.05


def test_words_of_the_starter_model_make_sure_what_is_heard() -> None:
    """A hit that holds all words is sure where its sound fits, and no more than maybe where its
    sound contradicts them."""
    curve = RelevanceCurve.from_card(load_embedder(starter_model()).card, "words")
    assert curve is not None
    level, words = (0.0, 0.07), np.ones(1)
    for cosine, expected in ((0.4, "sure"), (0.15, "sure"), (-0.2, "maybe")):
        [probability] = curve.of_query(np.array([cosine]), level, 200, words)
        assert confidence(probability) == expected
