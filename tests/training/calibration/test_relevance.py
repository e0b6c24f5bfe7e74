"""The fit of how probable hits are: planted truths, and searches that are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from earmark.model.embedder import Embedder, unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.relevance import RelevanceCurve
from earmark.training.calibration import relevance
from earmark.training.calibration.held_out_searches import (
    HITS,
    Hits,
    Searches,
    draw_hits,
    sound_searches,
    stems,
    word_searches,
)
from earmark.training.calibration.relevance import (
    RIDGE,
    expected_calibration_error,
    fit_curve,
    fit_logistic,
    fit_relevance,
    probabilities,
    reliability,
)
from earmark.training.calibration.validation_set import ValidationSet
from tests.model import tiny

CLIPS, SOURCES = 120, 24
TRUTH = RelevanceCurve(12.0, 0.4, -0.5, -3.0, (-4.0, 8.0, -2.0, 1.5), (50, 1_600))


def planted(count: int, seed: int = 0) -> Hits:
    """Hits that are right with the probabilities of a known curve."""
    draws = np.random.default_rng(seed)
    cosines = draws.uniform(-0.2, 0.7, count)
    hits = Hits(
        cosines,
        cosines / 0.07 + draws.normal(0, 1, count),
        draws.choice([50.0, 400.0, 1_600.0], count),
        draws.choice([0.0, 0.0, 0.3, 0.6, 1.0], count),
        np.zeros(count, np.bool_),
    )
    return replace(hits, right=draws.random(count) < probabilities(TRUTH, hits))


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return DualEmbedder(tiny.checkpoint_of(tiny.tiny_config(), 0, 12))


@pytest.fixture(scope="module")
def validation(embedder: Embedder) -> ValidationSet:
    """Clips that lie near to their tags, a few of each source."""
    draws = np.random.default_rng(3)
    has_tag = draws.random((CLIPS, len(embedder.vocabulary))) < 0.15
    near = has_tag @ embedder.vocabulary_vectors
    vectors = unit((near + draws.normal(0, 0.3, near.shape)).astype(np.float32))
    cosines = (vectors @ embedder.vocabulary_vectors.T).astype(np.float64)
    counts = np.full(len(embedder.vocabulary), 9)
    return ValidationSet(cosines, has_tag, np.arange(CLIPS) % SOURCES, counts, None, None, vectors)


def test_a_known_truth_is_recovered() -> None:
    fitted = fit_curve(planted(40_000))
    assert fitted is not None
    new = planted(20_000, seed=1)
    assert np.abs(probabilities(fitted, new) - probabilities(TRUTH, new)).mean() < 0.01
    assert fitted.cosine == pytest.approx(TRUTH.cosine, rel=0.1)
    assert fitted.clips == TRUTH.clips
    assert expected_calibration_error(probabilities(fitted, new), new.right) < 0.01


def test_newtons_method_finds_the_minimum() -> None:
    draws = np.random.default_rng(0)
    features, offset = draws.normal(0, [1, 5, 0.1], (200, 3)), draws.normal(0, 1, 200)
    right = draws.random(200) < 0.4
    scale = features.std(axis=0)

    def cost(point: np.ndarray) -> float:
        logits = features @ point + offset
        loss = (np.logaddexp(0, logits) - right * logits).sum()
        return float(loss + 0.5 * RIDGE * ((point * scale) ** 2).sum())

    expected = minimize(cost, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(fit_logistic(features, right, offset), expected, rtol=1e-3)


def test_hits_that_words_separate_wholly_have_finite_coefficients() -> None:
    hits = planted(2_000)
    fitted = fit_curve(replace(hits, right=hits.held > 0.5))
    assert fitted is None  # nothing that is heard alone is right
    right = np.where(hits.held > 0, hits.held > 0.5, hits.right)
    fitted = fit_curve(replace(hits, right=right))
    assert fitted is not None
    assert np.isfinite(fitted.words).all()
    assert fit_curve(replace(hits, right=np.ones(2_000, np.bool_))) is None


def test_drawn_searches_find_what_is_right_or_lack_it(embedder: Embedder) -> None:
    clips = np.arange(80)
    cosines = np.full((2, 80), -0.5)
    cosines[0, :20] = 0.9  # of which the first ten are right, the others unclear
    right, unclear = np.zeros((2, 2, 80), np.bool_)
    right[0, :10], unclear[0, 10:20] = True, True
    levels = np.array([[0.1, 0.2], [0.0, 0.1]])
    searches = Searches(cosines, right, unclear, levels, np.arange(80))
    hits = draw_hits(searches, clips, 40, np.random.default_rng(0))
    assert set(np.unique(hits.clips)) == {50.0, 80.0}
    assert (hits.cosines[hits.right] == 0.9).all()
    assert (hits.cosines[~hits.right] == -0.5).all()
    np.testing.assert_allclose(hits.standard[hits.right], (0.9 - 0.1) / 0.2)
    lacking = 1 - hits.right.sum() / (len(hits.right) / HITS) / 8  # 6 to 10 of a library are right
    assert 0.1 < lacking < 0.5
    assert not hits.held.any()


def test_texts_hold_words_of_the_query_and_some_are_wrong() -> None:
    count = 200
    holds = np.arange(count) < 20
    searches = Searches(
        np.where(holds, 0.5, 0.0)[None],
        holds[None],
        np.zeros((1, count), np.bool_),
        None,
        np.arange(count),
        [frozenset({"dog", "bark"})],
        [frozenset({"dog", "bark"} if each else {"dog"} if n < 40 else {"rain"})
         for n, each in enumerate(holds)],
    )  # fmt: skip
    hits = draw_hits(searches, np.arange(count), 60, np.random.default_rng(1))
    assert not hits.standard.any()
    whole = hits.select(hits.held > 0.99)
    assert 0.7 < whole.right.mean() < 1  # the others have the text of another clip
    part = hits.select((hits.held > 0) & (hits.held < 0.99))
    assert len(part.right) > 20
    assert part.right.mean() < 0.2


def test_what_is_asked_and_what_is_right(embedder: Embedder, validation: ValidationSet) -> None:
    by_words = word_searches(embedder, validation, np.random.default_rng(0))
    tags = len(embedder.vocabulary)
    assert by_words.words[:tags] == [stems(tag) for tag in embedder.vocabulary]
    np.testing.assert_array_equal(by_words.right[:tags], validation.has_tag.T)
    assert not (by_words.right & by_words.unclear).any()
    pairs = by_words.right[tags:]
    assert pairs.any(axis=1).all()  # a clip carries both
    assert len(by_words.texts) == CLIPS
    by_sound = sound_searches(embedder, validation)
    asked = np.flatnonzero(validation.has_tag.any(axis=1))
    assert by_sound.unclear.sum() == len(asked) == len(by_sound.cosines)
    same = (validation.has_tag[asked][:, None] == validation.has_tag[None]).all(axis=2)
    assert by_sound.right[same & ~by_sound.unclear].all()


def test_the_card_states_both_curves_and_their_figures(
    embedder: Embedder, validation: ValidationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relevance, "LIBRARIES", 6)
    monkeypatch.setattr(relevance, "LEFT_OUT_LIBRARIES", 4)
    cards: list[dict[str, Any]] = [{}, {"relevance": "of before"}]
    for card in cards:
        fit_relevance(card, embedder, validation, quiet=True)
    assert cards[0] == cards[1]
    stated = cards[0]["relevance"]
    assert stated["sources"] == SOURCES
    for kind in ("words", "sounds"):
        curve = RelevanceCurve.from_card(cards[0], kind)
        assert curve is not None
        assert curve.cosine > 0
        assert sum(row["hits"] for row in stated[kind]["reliability"]) == stated[kind]["hits"]
        assert 0 <= stated[kind]["ece"] < 0.2
    assert stated["sounds"]["words"] == [0.0, 0.0, 0.0, 0.0]


def test_too_few_clips_or_sources_state_nothing(
    embedder: Embedder, validation: ValidationSet
) -> None:
    without = replace(validation, vectors=None)
    one_source = replace(validation, sources=np.zeros(CLIPS, np.int64))
    for few in (without, one_source):
        card = {"relevance": "of before"}
        fit_relevance(card, embedder, few, quiet=True)
        assert card == {}


def test_reliability_and_expected_calibration_error() -> None:
    stated = np.array([0.05, 0.15, 0.15, 0.95, 0.95])
    right = np.array([False, True, False, True, True])
    assert reliability(stated, right) == [
        {"from": 0.0, "hits": 1, "stated": 0.05, "right": 0.0},
        {"from": 0.1, "hits": 2, "stated": 0.15, "right": 0.5},
        {"from": 0.9, "hits": 2, "stated": 0.95, "right": 1.0},
    ]
    expected = (0.05 + 2 * 0.35 + 2 * 0.05) / 5
    assert expected_calibration_error(stated, right) == pytest.approx(expected)
