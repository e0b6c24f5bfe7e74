"""Calibration: probabilities that agree with the share of clips that have a tag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from earmark.model.background import Background
from earmark.model.calibration import Calibration, log_mean_exp, sigmoid
from earmark.model.checkpoint import Checkpoint
from earmark.model.embedder import unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.zero_shot import class_probabilities, embed_labels
from earmark.training.calibration import class_temperature, thresholds
from earmark.training.calibration.class_temperature import fit_class_temperature
from earmark.training.calibration.fit import (
    expected_calibration_error,
    fit_calibration,
    fit_platt_scaling,
    reliability_bins,
)
from earmark.training.calibration.hierarchical_logistic import RIDGE, fit_hierarchical_logistic
from earmark.training.calibration.validation_set import ValidationSet, run_validation_set
from earmark.training.loop.trainer import Corpus
from tests.model.tiny import trained_like
from tests.training.tiny import TAGS, tiny_corpus, tiny_model

CLIPS, VOCABULARY, SOURCES = 600, 24, 30
SLOPE, CROWD = 8.0, -6.0
TEMPERATURE = 0.1


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(offsets: np.ndarray, seed: int = 0) -> tuple[ValidationSet, np.ndarray]:
    """Clips whose tags are drawn with known probabilities, and those probabilities [n, V].

    `offsets`: [V], or [n, V] where they differ from clip to clip.
    """
    draws = generator(seed)
    cosines = draws.uniform(-0.5, 0.5, (CLIPS, VOCABULARY)) + draws.normal(0, 0.1, (CLIPS, 1))
    logits = SLOPE * cosines + CROWD * log_mean_exp(cosines, TEMPERATURE) - 1.5 + offsets
    truth = sigmoid(logits)
    sources = np.arange(CLIPS) % SOURCES
    has_tag = draws.random(truth.shape) < truth
    return ValidationSet(cosines, has_tag, sources, np.full(VOCABULARY, 9)), truth


def calibrated(validation: ValidationSet, **card: Any) -> dict[str, Any]:
    calibrated_card: dict[str, Any] = {"temperature": TEMPERATURE} | card
    fit_calibration(calibrated_card, validation, quiet=True)
    return calibrated_card


@pytest.fixture(scope="module")
def truly_different() -> tuple[ValidationSet, np.ndarray, dict[str, Any]]:
    validation, truth = planted(generator(1).normal(0, 1.0, VOCABULARY))
    return validation, truth, calibrated(validation)


def test_a_known_truth_is_recovered(
    truly_different: tuple[ValidationSet, np.ndarray, dict[str, Any]],
) -> None:
    validation, truth, card = truly_different
    stated = card["calibration"]
    assert stated["slope"] == pytest.approx(SLOPE, rel=0.1)
    assert stated["crowd"] == pytest.approx(CROWD, rel=0.15)
    fitted = Calibration.from_card(card, VOCABULARY)
    assert isinstance(fitted, Calibration)
    probabilities = fitted.probabilities(validation.cosines)
    assert np.abs(probabilities - truth).mean() < 0.02
    assert np.mean(stated["rates"]) == pytest.approx(validation.has_tag.mean(), abs=0.005)
    assert stated["ece"]["after"] < 0.01
    assert stated["log_loss"]["after"] < stated["log_loss"]["before"] - 0.5
    assert (stated["clips"], stated["sources"], stated["folds"]) == (CLIPS, SOURCES, 7)
    assert stated["carriers"] == validation.has_tag.sum(axis=0).tolist()


def test_offsets_are_kept_where_all_sources_agree_on_them(
    truly_different: tuple[ValidationSet, np.ndarray, dict[str, Any]],
) -> None:
    _, _, card = truly_different
    planted_offsets = generator(1).normal(0, 1.0, VOCABULARY)
    assert card["calibration"]["shrinkage"] <= 16
    assert np.corrcoef(card["calibration"]["intercepts"], planted_offsets)[0, 1] > 0.95


def test_offsets_are_shrunk_where_sources_disagree() -> None:
    """Each source has its own offsets: those of one do not predict those of another."""
    offsets = generator(2).normal(0, 2.0, (SOURCES, VOCABULARY))
    offsets -= offsets.mean(axis=0)
    validation, _ = planted(offsets[np.arange(CLIPS) % SOURCES])
    stated = calibrated(validation)["calibration"]
    assert stated["shrinkage"] == 1024
    assert np.std(stated["intercepts"]) < 0.1


def test_the_frequency_of_a_tag_in_training_shifts_its_probability() -> None:
    counts = np.geomspace(5, 1000, VOCABULARY).astype(np.int64)
    validation, _ = planted(np.log1p(counts) - 4.5)
    stated = calibrated(
        ValidationSet(validation.cosines, validation.has_tag, validation.sources, counts)
    )
    assert stated["calibration"]["frequency"] == pytest.approx(1.0, abs=0.1)
    assert stated["calibration"]["shrinkage"] == 1024
    assert np.corrcoef(stated["calibration"]["intercepts"], np.log(counts))[0, 1] > 0.99


def test_the_same_validation_set_gives_the_same_card(
    truly_different: tuple[ValidationSet, np.ndarray, dict[str, Any]],
) -> None:
    validation, _, card = truly_different
    assert calibrated(validation) == card


def test_the_fit_is_that_of_a_general_optimiser() -> None:
    draws = generator(5)
    features = np.stack([draws.normal(size=(40, 5)), np.ones((40, 5))], axis=-1)
    has_tag = draws.random((40, 5)) < 0.3
    weights, shrinkage = draws.uniform(0.5, 2.0, 40), 3.0

    def cost(point: np.ndarray) -> float:
        total = 0.5 * RIDGE * (point[:2] ** 2).sum() + 0.5 * shrinkage * (point[2:] ** 2).sum()
        for clip in range(40):
            for tag in range(5):
                logit = features[clip, tag] @ point[:2] + point[2 + tag]
                probabilities = 1 / (1 + np.exp(-logit))
                right = probabilities if has_tag[clip, tag] else 1 - probabilities
                total -= weights[clip] * np.log(right)
        return float(total)

    expected = minimize(cost, np.zeros(7), tol=1e-8).x
    fitted = fit_hierarchical_logistic(features, has_tag, weights, shrinkage)
    np.testing.assert_allclose(fitted.shared, expected[:2], atol=1e-3)
    np.testing.assert_allclose(fitted.offsets, expected[2:], atol=1e-3)
    again = fit_hierarchical_logistic(
        features,
        has_tag,
        weights,
        shrinkage,
        fit_hierarchical_logistic(features, has_tag, weights, 300.0),
    )
    np.testing.assert_allclose(again.offsets, fitted.offsets, atol=1e-3)


def test_a_rare_tag_stays_near_the_shared_fit() -> None:
    """Two tags, both twice as frequent as expected: the rarer one moves less."""
    rates = np.array([0.004, 0.4, *[0.05] * 10])
    features = np.stack(
        [np.broadcast_to(np.log(rates / 2), (1000, 12)), np.ones((1000, 12))], axis=-1
    )
    has_tag = np.arange(1000)[:, None] < 1000 * rates
    fitted = fit_hierarchical_logistic(features, has_tag, np.ones(1000), 16.0)
    assert 0 < abs(fitted.offsets[0]) < abs(fitted.offsets[1])
    harder = fit_hierarchical_logistic(features, has_tag, np.ones(1000), 1600.0)
    assert np.abs(harder.offsets).max() < np.abs(fitted.offsets).max() / 2


def test_separable_tags_have_a_finite_fit() -> None:
    cosines = np.where(np.eye(40, 8, dtype=bool), 0.9, -0.9)
    validation = ValidationSet(cosines, cosines > 0, np.arange(40), np.full(8, 5))
    stated = calibrated(validation)["calibration"]
    assert np.isfinite(stated["intercepts"]).all()
    assert (np.array(stated["thresholds"]) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_best_f1_is_the_best_of_all_thresholds(seed: int) -> None:
    draws = generator(seed)
    probabilities = draws.integers(0, 8, 50) / 10  # with ties
    true, weights = (draws.random(50) < 0.3).astype(float), draws.uniform(0.5, 2, 50)

    def f1(threshold: float) -> float:
        given = probabilities >= threshold
        return float(2 * (weights * true)[given].sum() / (weights[given].sum() + weights @ true))

    fitted = thresholds.best_f1_threshold(probabilities, true, weights)
    assert f1(fitted) == pytest.approx(max(f1(value) for value in set(probabilities.tolist())))


def test_a_rare_tag_has_a_lower_threshold_than_a_common_one() -> None:
    draws = generator(3)
    logits = draws.normal(0, 1.5, (2000, 3)) + np.array([-1.0, -3.0, -5.0])
    probabilities = sigmoid(logits)
    has_tag = draws.random(probabilities.shape) < probabilities
    has_tag[:, 2] = False  # no clip has it, yet its probabilities give a threshold
    fitted = thresholds.tag_thresholds(probabilities, has_tag, np.ones(2000))
    assert 0.5 > fitted[0] > fitted[1] > fitted[2] > 0
    assert (probabilities >= fitted).mean(axis=0).max() < 0.6


def test_the_temperature_of_classes_is_recovered() -> None:
    """Clips of one tag each, drawn by a softmax of a known temperature."""
    draws, temperature = generator(6), 0.3
    cosines = draws.uniform(-1, 1, (1500, 20))
    powers = np.exp(cosines / temperature)
    chosen = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1) > draws.random((1500, 1))
    has_tag = np.eye(20, dtype=bool)[chosen.argmax(axis=1)]
    validation = ValidationSet(cosines, has_tag, np.arange(1500) % 40, np.full(20, 5))
    assert fit_class_temperature(validation) == pytest.approx(temperature, rel=0.1)
    rows, weights = class_temperature.draw_choices(validation)
    assert class_temperature.choice_loss(rows, weights, temperature) < min(
        class_temperature.choice_loss(rows, weights, temperature * factor) for factor in (0.5, 2.0)
    )


def test_the_temperature_of_classes_is_of_standard_scores_where_there_is_a_background() -> None:
    draws, temperature = generator(7), 0.8
    means, deviations = draws.uniform(-0.5, 0.5, 20), draws.uniform(0.05, 0.3, 20)
    scores = draws.normal(0, 1, (1500, 20))
    powers = np.exp(scores / temperature)
    chosen = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1) > draws.random((1500, 1))
    validation = ValidationSet(
        means + deviations * scores,
        np.eye(20, dtype=bool)[chosen.argmax(axis=1)],
        np.arange(1500) % 40,
        np.full(20, 5),
        background=(means, deviations),
    )
    np.testing.assert_allclose(validation.class_scores, scores, atol=1e-9)
    assert fit_class_temperature(validation) == pytest.approx(temperature, rel=0.1)


def test_distractors_are_tags_that_the_clip_does_not_have() -> None:
    has_tag = np.zeros((3, 6), dtype=bool)
    has_tag[0, :2] = has_tag[1, 1:3] = True
    cosines = np.arange(18.0).reshape(3, 6) / 18
    rows, weights = class_temperature.draw_choices(
        ValidationSet(cosines, has_tag, np.arange(3), np.ones(6))
    )
    # Tags 0, 1 and 2 are drawn: each clip lacks exactly one of them.
    assert set(map(tuple, rows[:, :2].tolist())) == {
        (cosines[0, 0], cosines[0, 2]),
        (cosines[0, 1], cosines[0, 2]),
        (cosines[1, 1], cosines[1, 0]),
        (cosines[1, 2], cosines[1, 0]),
    }
    assert np.isneginf(rows[:, 2:]).all()
    assert (weights > 0).all()
    nothing = np.zeros_like(has_tag)
    assert fit_class_temperature(ValidationSet(cosines, nothing, np.arange(3), np.ones(6))) is None


def test_sources_weigh_less_the_more_takes_they_have() -> None:
    sources = np.array([0] * 9 + [1])
    validation = ValidationSet(np.zeros((10, 2)), np.zeros((10, 2), bool), sources, np.ones(2))
    weights = validation.weights
    assert weights.sum() == pytest.approx(10)
    assert weights[:9].sum() == pytest.approx(3 * weights[9])


def test_reliability_and_its_error() -> None:
    probabilities = np.array([[0.004, 0.004, 0.6, 0.6]])
    has_tag = np.array([[False, False, True, False]])
    rows = reliability_bins(probabilities, has_tag, np.ones(1))
    assert [(row["from"], row["to"], row["pairs"]) for row in rows] == [(0, 0.01, 2), (0.5, 1, 2)]
    assert [(row["stated"], row["carried"]) for row in rows] == [(0.004, 0.0), (0.6, 0.5)]
    assert expected_calibration_error(probabilities, has_tag, np.ones(1)) == pytest.approx(
        (0.004 + 0.1) / 2
    )


# On a real, tiny model


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return tiny_corpus(tiny_model())


def checkpoint(corpus: Corpus) -> Checkpoint:
    return Checkpoint(trained_like(tiny_model()), corpus.words, corpus.vocabulary)


def validation_set_of(corpus: Corpus, saved: Checkpoint) -> ValidationSet:
    training_counts = corpus.train.tag_counts(saved.vocabulary)
    return run_validation_set(saved, corpus.validation, corpus.validation_tags, training_counts)


def test_the_validation_set_of_a_run(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    validation = validation_set_of(corpus, saved)
    tags = len(saved.vocabulary)
    assert validation.cosines.shape == validation.has_tag.shape == (18, tags)
    assert len(set(validation.sources.tolist())) == 18
    assert validation.training_counts.tolist() == [
        20 if tag == "steady" else 10 for tag in saved.vocabulary
    ]
    assert corpus.train.tag_counts(["steady", "unheard"]).tolist() == [20, 0]
    assert set(saved.vocabulary) == set(TAGS)
    for row, clip_tags in zip(validation.has_tag, corpus.validation_tags, strict=True):
        assert {saved.vocabulary[tag] for tag in np.flatnonzero(row)} == set(clip_tags)


def test_the_background_of_the_tags_is_that_of_zero_shot_classes(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    plain = validation_set_of(corpus, saved)
    assert plain.background is None
    assert plain.class_scores is plain.cosines
    sounds = generator(8).standard_normal((50, saved.model.config.dim)).astype(np.float32)
    saved.background = Background.of(unit(sounds + 0.2))
    validation = validation_set_of(corpus, saved)
    embedder = DualEmbedder(saved)
    labels = embed_labels(embedder, {tag: [tag] for tag in saved.vocabulary})
    saved.card["class_temperature"] = 0.7
    sound = unit(sounds[:1])[0]
    scored = replace(validation, cosines=(labels.vectors @ sound)[None].astype(np.float64))
    powers = np.exp(scored.class_scores[0] / 0.7)
    np.testing.assert_allclose(
        class_probabilities(embedder, labels, sound), powers / powers.sum(), rtol=1e-4
    )


def test_the_mean_probability_is_the_share_of_positive_pairs(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    validation = validation_set_of(corpus, saved)
    for kind in (fit_platt_scaling, fit_calibration):
        kind(saved.card, validation)
        probabilities = DualEmbedder(saved).calibration.probabilities(validation.cosines)
        assert 0 < probabilities.min() <= probabilities.max() < 1
        assert probabilities.mean() == pytest.approx(validation.has_tag.mean(), abs=0.01)
        guess = np.mean((validation.has_tag - validation.has_tag.mean()) ** 2)
        assert np.mean((validation.has_tag - probabilities) ** 2) <= guess + 1e-3
        assert saved.card["calibration"]["pairs"] == validation.has_tag.size


@pytest.mark.parametrize("every", [True, False])
def test_untouched_where_nothing_can_be_fit(every: bool) -> None:
    has_tag = np.full((6, 4), every)
    validation = ValidationSet(np.zeros((6, 4)), has_tag, np.arange(6), np.ones(4))
    card: dict[str, Any] = {}
    fit_platt_scaling(card, validation)
    fit_calibration(card, validation, quiet=True)
    assert card == {}


def test_one_source_is_fitted_and_measured_on_all_of_its_clips() -> None:
    validation, _ = planted(np.zeros(VOCABULARY))
    alone = np.zeros(CLIPS, dtype=np.int64)
    stated = calibrated(
        ValidationSet(validation.cosines, validation.has_tag, alone, validation.training_counts)
    )
    assert (stated["calibration"]["sources"], stated["calibration"]["folds"]) == (1, 1)
