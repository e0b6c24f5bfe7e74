"""Calibration: probabilities that agree with how often a tag is carried."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from earmark.model.calibration import Calibration, log_mean_exp, sigmoid
from earmark.model.checkpoint import Checkpoint
from earmark.model.embedder import Embedder
from earmark.training.calibration import class_temperature, thresholds
from earmark.training.calibration.class_temperature import fit_class_temperature
from earmark.training.calibration.fit import ece, fit_calibration, fit_one_curve, reliability
from earmark.training.calibration.hierarchical_logistic import RIDGE, fit
from earmark.training.calibration.validation_set import Evidence, of_training
from earmark.training.loop.trainer import Corpus
from tests.model.tiny import trained_like
from tests.training.tiny import TAGS, tiny_corpus, tiny_model

CLIPS, VOCABULARY, SOURCES = 600, 24, 30
SLOPE, CROWD = 8.0, -6.0
TEMPERATURE = 0.1


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def planted(offsets: np.ndarray, seed: int = 0) -> tuple[Evidence, np.ndarray]:
    """Clips whose tags are drawn by a known truth, and that truth [n, V].

    `offsets`: [V], or [n, V] where they differ from clip to clip.
    """
    draws = generator(seed)
    cosines = draws.uniform(-0.5, 0.5, (CLIPS, VOCABULARY)) + draws.normal(0, 0.1, (CLIPS, 1))
    logits = SLOPE * cosines + CROWD * log_mean_exp(cosines, TEMPERATURE) - 1.5 + offsets
    truth = sigmoid(logits)
    sources = np.arange(CLIPS) % SOURCES
    carried = draws.random(truth.shape) < truth
    return Evidence(cosines, carried, sources, np.full(VOCABULARY, 9)), truth


def calibrated(evidence: Evidence, **card: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"temperature": TEMPERATURE} | card
    fit_calibration(made, evidence, quiet=True)
    return made


@pytest.fixture(scope="module")
def truly_different() -> tuple[Evidence, np.ndarray, dict[str, Any]]:
    evidence, truth = planted(generator(1).normal(0, 1.0, VOCABULARY))
    return evidence, truth, calibrated(evidence)


def test_a_known_truth_is_recovered(
    truly_different: tuple[Evidence, np.ndarray, dict[str, Any]],
) -> None:
    evidence, truth, card = truly_different
    stated = card["calibration"]
    assert stated["slope"] == pytest.approx(SLOPE, rel=0.1)
    assert stated["crowd"] == pytest.approx(CROWD, rel=0.15)
    found = Calibration.from_card(card, VOCABULARY)
    assert isinstance(found, Calibration)
    probable = found.probabilities(evidence.cosines)
    assert np.abs(probable - truth).mean() < 0.02
    assert np.mean(stated["rates"]) == pytest.approx(evidence.carried.mean(), abs=0.005)
    assert stated["ece"]["after"] < 0.01
    assert stated["log_loss"]["after"] < stated["log_loss"]["before"] - 0.5
    assert (stated["clips"], stated["sources"], stated["folds"]) == (CLIPS, SOURCES, 7)
    assert stated["carriers"] == evidence.carried.sum(axis=0).tolist()


def test_offsets_are_kept_where_all_sources_agree_on_them(
    truly_different: tuple[Evidence, np.ndarray, dict[str, Any]],
) -> None:
    _, _, card = truly_different
    planted_offsets = generator(1).normal(0, 1.0, VOCABULARY)
    assert card["calibration"]["shrinkage"] <= 16
    assert np.corrcoef(card["calibration"]["intercepts"], planted_offsets)[0, 1] > 0.95


def test_offsets_are_shrunk_where_sources_disagree() -> None:
    """Each source likes tags of its own: what one says of a tag is no news of another."""
    likes = generator(2).normal(0, 2.0, (SOURCES, VOCABULARY))
    likes -= likes.mean(axis=0)
    evidence, _ = planted(likes[np.arange(CLIPS) % SOURCES])
    stated = calibrated(evidence)["calibration"]
    assert stated["shrinkage"] == 1024
    assert np.std(stated["intercepts"]) < 0.1


def test_how_often_a_tag_trained_says_how_often_it_is_carried() -> None:
    counts = np.geomspace(5, 1000, VOCABULARY).astype(np.int64)
    evidence, _ = planted(np.log1p(counts) - 4.5)
    stated = calibrated(Evidence(evidence.cosines, evidence.carried, evidence.sources, counts))
    assert stated["calibration"]["frequency"] == pytest.approx(1.0, abs=0.1)
    assert stated["calibration"]["shrinkage"] == 1024
    assert np.corrcoef(stated["calibration"]["intercepts"], np.log(counts))[0, 1] > 0.99


def test_the_same_evidence_gives_the_same_card(
    truly_different: tuple[Evidence, np.ndarray, dict[str, Any]],
) -> None:
    evidence, _, card = truly_different
    assert calibrated(evidence) == card


def test_the_fit_is_that_of_a_general_optimiser() -> None:
    draws = generator(5)
    features = np.stack([draws.normal(size=(40, 5)), np.ones((40, 5))], axis=-1)
    carried = draws.random((40, 5)) < 0.3
    weights, shrinkage = draws.uniform(0.5, 2.0, 40), 3.0

    def cost(point: np.ndarray) -> float:
        total = 0.5 * RIDGE * (point[:2] ** 2).sum() + 0.5 * shrinkage * (point[2:] ** 2).sum()
        for clip in range(40):
            for tag in range(5):
                logit = features[clip, tag] @ point[:2] + point[2 + tag]
                probable = 1 / (1 + np.exp(-logit))
                right = probable if carried[clip, tag] else 1 - probable
                total -= weights[clip] * np.log(right)
        return float(total)

    expected = minimize(cost, np.zeros(7), tol=1e-8).x
    found = fit(features, carried, weights, shrinkage)
    np.testing.assert_allclose(found.shared, expected[:2], atol=1e-3)
    np.testing.assert_allclose(found.offsets, expected[2:], atol=1e-3)
    again = fit(features, carried, weights, shrinkage, fit(features, carried, weights, 300.0))
    np.testing.assert_allclose(again.offsets, found.offsets, atol=1e-3)


def test_a_tag_of_which_few_clips_tell_keeps_to_the_shared_fit() -> None:
    """Two tags, each carried twice as often as expected: the one that is rarer moves less."""
    rates = np.array([0.004, 0.4, *[0.05] * 10])
    features = np.stack(
        [np.broadcast_to(np.log(rates / 2), (1000, 12)), np.ones((1000, 12))], axis=-1
    )
    carried = np.arange(1000)[:, None] < 1000 * rates
    found = fit(features, carried, np.ones(1000), 16.0)
    assert 0 < abs(found.offsets[0]) < abs(found.offsets[1])
    harder = fit(features, carried, np.ones(1000), 1600.0)
    assert np.abs(harder.offsets).max() < np.abs(found.offsets).max() / 2


def test_tags_that_are_perfectly_told_apart_have_a_finite_fit() -> None:
    cosines = np.where(np.eye(40, 8, dtype=bool), 0.9, -0.9)
    evidence = Evidence(cosines, cosines > 0, np.arange(40), np.full(8, 5))
    stated = calibrated(evidence)["calibration"]
    assert np.isfinite(stated["intercepts"]).all()
    assert (np.array(stated["thresholds"]) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_best_f1_is_the_best_of_all_thresholds(seed: int) -> None:
    draws = generator(seed)
    probable = draws.integers(0, 8, 50) / 10  # with ties
    true, weights = (draws.random(50) < 0.3).astype(float), draws.uniform(0.5, 2, 50)

    def f1(threshold: float) -> float:
        given = probable >= threshold
        return float(2 * (weights * true)[given].sum() / (weights[given].sum() + weights @ true))

    found = thresholds.best_f1(probable, true, weights)
    assert f1(found) == pytest.approx(max(f1(each) for each in set(probable.tolist())))


def test_a_rare_tag_has_a_lower_threshold_than_a_common_one() -> None:
    draws = generator(3)
    logits = draws.normal(0, 1.5, (2000, 3)) + np.array([-1.0, -3.0, -5.0])
    probable = sigmoid(logits)
    carried = draws.random(probable.shape) < probable
    carried[:, 2] = False  # nobody carries it, yet its probabilities say where to begin
    found = thresholds.tag_thresholds(probable, carried, np.ones(2000))
    assert 0.5 > found[0] > found[1] > found[2] > 0
    assert (probable >= found).mean(axis=0).max() < 0.6


def test_the_temperature_of_classes_is_recovered() -> None:
    """Clips of one tag each, drawn by a softmax of a known temperature."""
    draws, wanted = generator(6), 0.3
    cosines = draws.uniform(-1, 1, (1500, 20))
    powers = np.exp(cosines / wanted)
    chosen = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1) > draws.random((1500, 1))
    carried = np.eye(20, dtype=bool)[chosen.argmax(axis=1)]
    evidence = Evidence(cosines, carried, np.arange(1500) % 40, np.full(20, 5))
    assert fit_class_temperature(evidence) == pytest.approx(wanted, rel=0.1)
    rows, weights = class_temperature.choices(evidence)
    assert class_temperature.loss(rows, weights, wanted) < min(
        class_temperature.loss(rows, weights, wanted * factor) for factor in (0.5, 2.0)
    )


def test_the_others_are_tags_that_the_clip_does_not_carry() -> None:
    carried = np.zeros((3, 6), dtype=bool)
    carried[0, :2] = carried[1, 1:3] = True
    cosines = np.arange(18.0).reshape(3, 6) / 18
    rows, weights = class_temperature.choices(Evidence(cosines, carried, np.arange(3), np.ones(6)))
    # The tags of both are 0, 1 and 2: each clip has one that it does not carry.
    assert set(map(tuple, rows[:, :2].tolist())) == {
        (cosines[0, 0], cosines[0, 2]),
        (cosines[0, 1], cosines[0, 2]),
        (cosines[1, 1], cosines[1, 0]),
        (cosines[1, 2], cosines[1, 0]),
    }
    assert np.isneginf(rows[:, 2:]).all()
    assert (weights > 0).all()
    nothing = np.zeros_like(carried)
    assert fit_class_temperature(Evidence(cosines, nothing, np.arange(3), np.ones(6))) is None


def test_sources_weigh_less_the_more_takes_they_have() -> None:
    sources = np.array([0] * 9 + [1])
    evidence = Evidence(np.zeros((10, 2)), np.zeros((10, 2), bool), sources, np.ones(2))
    weights = evidence.weights
    assert weights.sum() == pytest.approx(10)
    assert weights[:9].sum() == pytest.approx(3 * weights[9])


def test_reliability_and_its_error() -> None:
    probable = np.array([[0.004, 0.004, 0.6, 0.6]])
    carried = np.array([[False, False, True, False]])
    rows = reliability(probable, carried, np.ones(1))
    assert [(row["from"], row["to"], row["pairs"]) for row in rows] == [(0, 0.01, 2), (0.5, 1, 2)]
    assert [(row["stated"], row["carried"]) for row in rows] == [(0.004, 0.0), (0.6, 0.5)]
    assert ece(probable, carried, np.ones(1)) == pytest.approx((0.004 + 0.1) / 2)


# On a real, tiny model


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return tiny_corpus(tiny_model())


def checkpoint(corpus: Corpus) -> Checkpoint:
    return Checkpoint(trained_like(tiny_model()), corpus.words, corpus.vocabulary)


def evidence_of(corpus: Corpus, saved: Checkpoint) -> Evidence:
    counts = corpus.train.tag_counts(saved.vocabulary)
    return of_training(saved, corpus.validation, corpus.validation_tags, counts)


def test_the_evidence_of_a_run(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    evidence = evidence_of(corpus, saved)
    tags = len(saved.vocabulary)
    assert evidence.cosines.shape == evidence.carried.shape == (18, tags)
    assert len(set(evidence.sources.tolist())) == 18
    assert evidence.counts.tolist() == [20 if tag == "steady" else 10 for tag in saved.vocabulary]
    assert corpus.train.tag_counts(["steady", "unheard"]).tolist() == [20, 0]
    assert set(saved.vocabulary) == set(TAGS)
    for row, own in zip(evidence.carried, corpus.validation_tags, strict=True):
        assert {saved.vocabulary[tag] for tag in np.flatnonzero(row)} == set(own)


def test_the_mean_probability_is_the_share_of_carried_tags(corpus: Corpus) -> None:
    saved = checkpoint(corpus)
    evidence = evidence_of(corpus, saved)
    for kind in (fit_one_curve, fit_calibration):
        kind(saved.card, evidence)
        probable = Embedder(saved).calibration.probabilities(evidence.cosines)
        assert 0 < probable.min() <= probable.max() < 1
        assert probable.mean() == pytest.approx(evidence.carried.mean(), abs=0.01)
        guess = np.mean((evidence.carried - evidence.carried.mean()) ** 2)
        assert np.mean((evidence.carried - probable) ** 2) <= guess + 1e-3
        assert saved.card["calibration"]["pairs"] == evidence.carried.size


@pytest.mark.parametrize("every", [True, False])
def test_untouched_where_nothing_can_be_fit(every: bool) -> None:
    carried = np.full((6, 4), every)
    evidence = Evidence(np.zeros((6, 4)), carried, np.arange(6), np.ones(4))
    card: dict[str, Any] = {}
    fit_one_curve(card, evidence)
    fit_calibration(card, evidence, quiet=True)
    assert card == {}


def test_one_source_is_its_own_judge() -> None:
    evidence, _ = planted(np.zeros(VOCABULARY))
    alone = np.zeros(CLIPS, dtype=np.int64)
    stated = calibrated(Evidence(evidence.cosines, evidence.carried, alone, evidence.counts))
    assert (stated["calibration"]["sources"], stated["calibration"]["folds"]) == (1, 1)
