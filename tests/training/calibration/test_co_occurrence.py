"""Re-scoring tags given a known tag: co-occurrence is found where planted, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from earmark.model.calibration import rescore_given_tags
from earmark.training.calibration.co_occurrence import fit_co_occurrence
from earmark.training.calibration.validation_set import ValidationSet
from tests.training.calibration.test_fit import calibrated, generator


def paired_tags(
    seed: int = 0,
) -> tuple[ValidationSet, np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """(clips that have both tags of a pair or neither, uninformative probabilities, folds)."""
    draws = generator(seed)
    pairs = draws.random((400, 6)) < 0.2
    has_tag = np.repeat(pairs, 2, axis=1)
    tag_similarity = np.kron(np.eye(6), np.ones((2, 2)))
    sources = np.arange(400) % 20
    parts = [sources % 4 == part for part in range(4)]
    folds = [(np.flatnonzero(~part), np.flatnonzero(part)) for part in parts]
    validation = ValidationSet(
        draws.normal(size=(400, 12)), has_tag, sources, np.full(12, 9), tag_similarity
    )
    return validation, np.full((400, 12), 0.2), folds


def test_a_known_tag_raises_its_partner() -> None:
    validation, probabilities, folds = paired_tags()
    company = fit_co_occurrence(validation, probabilities, folds)
    assert company is not None
    assert company["near"] > 5
    assert company["mAP@10"]["alone"] < 0.5
    assert company["mAP@10"]["beside"] > 0.6
    assert company["clips"] == int((validation.has_tag.sum(axis=1) >= 2).sum())
    beside = rescore_given_tags(
        {"company": company}, probabilities[0], validation.tag_similarity[3]
    )
    assert beside[2] > 0.9
    assert beside[4:].max() < 0.3
    assert fit_co_occurrence(validation, probabilities, folds) == company


def test_independent_tags_leave_probabilities_as_they_are() -> None:
    draws = generator(4)
    probabilities = draws.uniform(0.02, 0.6, (1500, 10))
    tag_similarity = draws.uniform(-1, 1, (10, 10))
    has_tag = draws.random((1500, 10)) < probabilities
    sources = np.arange(1500) % 30
    validation = ValidationSet(probabilities, has_tag, sources, np.full(10, 9), tag_similarity)
    company = fit_co_occurrence(validation, probabilities, [(np.arange(1500), np.arange(1500))])
    assert company is not None
    assert (company["own"], company["near"]) == pytest.approx((1, 0), abs=0.1)
    rescored = rescore_given_tags({"company": company}, probabilities[0], tag_similarity[0])
    np.testing.assert_allclose(rescored, probabilities[0], atol=0.05)


def test_without_clips_of_two_tags_there_is_no_fit() -> None:
    validation, probabilities, folds = paired_tags()
    alone = validation.has_tag & (np.arange(12) == 3)
    assert fit_co_occurrence(replace(validation, has_tag=alone), probabilities, folds) is None
    assert fit_co_occurrence(replace(validation, tag_similarity=None), probabilities, folds) is None
    assert "company" not in calibrated(replace(validation, tag_similarity=None))


def test_tags_that_always_go_together_cannot_be_fitted() -> None:
    """No pair is negative: some clips have both tags, the others only the first."""
    has_tag = np.array([[True, True], [True, False]] * 10)
    cosines = np.random.default_rng(0).normal(size=has_tag.shape)
    validation = ValidationSet(cosines, has_tag, np.arange(20), np.full(2, 5), np.eye(2))
    card = calibrated(validation, company={"own": 1.0, "near": 1.0, "intercept": 0.0})
    assert "thresholds" in card["calibration"]
    assert "company" not in card  # the old fit is removed with the old probabilities
