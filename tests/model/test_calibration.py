"""Cosines → probabilities: both forms of a card's calibration, none, and one that does not fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.model import checkpoint
from earmark.model.calibration import class_temperature, log_mean_exp
from earmark.model.core.errors import CheckpointError, InputError
from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.model.tiny import checkpoint_of, tiny_config

TAGS = 6


def full(**changes: Any) -> dict[str, Any]:
    """A calibration tag by tag, as training writes it."""
    return {
        "method": "by hand",
        "clips": 12,
        "temperature": 0.1,
        "slope": 6.0,
        "crowd": -5.0,
        "intercepts": [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0],
        "thresholds": [0.5, 0.4, 0.3, 0.2, 0.1, 0.05],
        "rates": [0.3, 0.2, 0.1, 0.05, 0.02, 0.01],
        "carriers": [9, 5, 3, 1, 0, 0],
        "precision": [0.5, 0.25, None, None, None, None],
        "recall": [0.75, 0.5, None, None, None, None],
    } | changes


def embedder(calibration: dict[str, Any] | None) -> Embedder:
    model = checkpoint_of(tiny_config(), vocabulary=TAGS)
    if calibration is not None:
        model.card["calibration"] = calibration
    return DualEmbedder(model)


def cosines(*shape: int) -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, (*shape, TAGS)).astype(np.float32)


def test_a_probability_is_the_curve_of_its_tag() -> None:
    card, scores = full(), cosines(3)
    probabilities = embedder(card).calibration.probabilities(scores)
    assert (probabilities.shape, probabilities.dtype) == ((3, TAGS), np.float32)
    for row, curve in zip(scores.tolist(), probabilities.tolist(), strict=True):
        crowd = 0.1 * math.log(sum(math.exp(cosine / 0.1) for cosine in row) / TAGS)
        for cosine, intercept, probability in zip(row, card["intercepts"], curve, strict=True):
            logit = 6.0 * cosine - 5.0 * crowd + intercept
            assert probability == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)


def test_a_sound_alone_and_its_windows_are_scored_alike() -> None:
    model, scores = embedder(full()), cosines(2, 5)
    together = model.calibration.probabilities(scores)
    assert together.shape == (2, 5, TAGS)
    for clip in range(2):
        for window in range(5):
            alone = model.calibration.probabilities(scores[clip, window])
            np.testing.assert_array_equal(alone, together[clip, window])


def test_extremes_neither_overflow_nor_warn() -> None:
    model = embedder(full(slope=5000.0, temperature=0.001))
    assert set(model.calibration.probabilities(np.array([1, -1, 1, -1, 1, -1], np.float32))) <= {
        0.0,
        1.0,
    }
    assert log_mean_exp(np.array([1.0, 1.0]), 0.001).tolist() == pytest.approx([1.0])


def test_cosines_of_other_tags_are_refused() -> None:
    model = embedder(full())
    with pytest.raises(
        InputError, match=r"expected one for each of 6 tags, got the shape \[2, 5\]"
    ):
        model.calibration.probabilities(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("name", ["intercepts", "thresholds", "rates"])
def test_a_card_for_other_tags_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"calibration: expected {name} of 6 tags, got 2"):
        embedder(full(**{name: [0.1, 0.2]}))


def test_thresholds_rates_and_summary() -> None:
    model = embedder(full())
    np.testing.assert_allclose(model.calibration.thresholds, full()["thresholds"], rtol=1e-6)
    assert model.calibration.rates is not None
    np.testing.assert_allclose(model.calibration.rates, full()["rates"], rtol=1e-6)
    figures = model.calibration_summary()
    assert figures is not None
    assert (figures["method"], figures["clips"], figures["slope"]) == ("by hand", 12, 6.0)
    assert "intercepts" not in figures
    assert "rates" not in figures
    assert list(figures["thresholds"]) == model.vocabulary
    assert figures["thresholds"][model.vocabulary[1]] == {
        "threshold": 0.4,
        "rate": 0.2,
        "clips": 5,
        "precision": 0.25,
        "recall": 0.5,
    }
    assert figures["thresholds"][model.vocabulary[5]]["precision"] is None


def test_models_with_one_curve_or_none_still_work() -> None:
    bare, old = embedder(None), embedder({"slope": 4.0, "intercept": -1.0, "pairs": 7})
    scores = cosines(2)
    np.testing.assert_allclose(bare.calibration.probabilities(scores), (1 + scores) / 2, rtol=1e-6)
    expected = 1 / (1 + np.exp(-(4 * scores - 1)))
    np.testing.assert_allclose(old.calibration.probabilities(scores), expected, rtol=1e-5)
    for model in (bare, old):
        assert model.calibration.thresholds.tolist() == [0.5] * TAGS
        assert model.calibration.rates is None
    assert bare.calibration_summary() is None
    assert old.calibration_summary() == {
        "method": "one curve for all tags",
        "slope": 4.0,
        "intercept": -1.0,
        "pairs": 7,
        "thresholds": {},
    }


def test_class_temperature_falls_back_to_that_of_training() -> None:
    assert class_temperature({}) == 0.1
    assert class_temperature({"temperature": 0.07}) == 0.07
    fitted = {"temperature": 0.07, "class_temperature": 0.2}
    assert class_temperature(fitted) == 0.2
    # Standard scores lie further apart than cosines.
    assert class_temperature({"temperature": 0.07}, standard_scores=True) == 1
    assert class_temperature(fitted, standard_scores=True) == 0.2


def test_a_card_is_replaced_and_all_else_stays(tmp_path: Path) -> None:
    before = checkpoint.save(tmp_path / "a", checkpoint_of(tiny_config()))
    checkpoint.replace_card(tmp_path / "a", {"calibration": full()}, tmp_path / "b")
    assert checkpoint.load(tmp_path / "a").card == {"seed": 0}
    copy = checkpoint.load(tmp_path / "b")
    assert (copy.card, copy.fingerprint) == ({"calibration": full()}, before)
    checkpoint.replace_card(tmp_path / "a" / checkpoint.FILE_NAME, copy.card)
    files = [tmp_path / name / checkpoint.FILE_NAME for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(CheckpointError, match="expected a model file or its folder"):
        checkpoint.replace_card(tmp_path / "c", {})


def test_the_starter_model_states_a_threshold_for_every_tag() -> None:
    model = load_embedder(starter_model())
    figures = model.calibration_summary()
    assert figures is not None
    assert list(figures["thresholds"]) == model.vocabulary
    for tag, row in figures["thresholds"].items():
        assert 0 < row["rate"] < 1, tag
        assert 0 < row["threshold"] < 1, tag
        assert (row["recall"] is None) == (row["clips"] < 5), tag
    assert len(set(model.calibration.thresholds.tolist())) > len(model.vocabulary) / 2
    assert figures["ece"]["after"] < figures["ece"]["before"]
    assert figures["log_loss"]["after"] < figures["log_loss"]["before"]
    assert class_temperature(model.card) != model.card["temperature"]
