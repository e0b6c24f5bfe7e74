"""Cosines → probabilities by a card: both forms of it, none, and what does not fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earmark.model import checkpoint
from earmark.model.calibration import level
from earmark.model.checkpoint import starter_model
from earmark.model.core.errors import CheckpointError, InputError
from earmark.model.embedder import Embedder
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


def embedder(calibration: dict[str, Any] | None, **card: Any) -> Embedder:
    made = checkpoint_of(tiny_config(), vocabulary=TAGS)
    made.card |= card
    if calibration is not None:
        made.card["calibration"] = calibration
    return Embedder(made)


def cosines(*shape: int) -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, (*shape, TAGS)).astype(np.float32)


def test_a_probability_is_the_curve_of_its_tag() -> None:
    stated, given = full(), cosines(3)
    found = embedder(stated).tag_probabilities(given)
    assert (found.shape, found.dtype) == ((3, TAGS), np.float32)
    for row, answers in zip(given.tolist(), found.tolist(), strict=True):
        near = 0.1 * math.log(sum(math.exp(cosine / 0.1) for cosine in row) / TAGS)
        for cosine, intercept, answer in zip(row, stated["intercepts"], answers, strict=True):
            logit = 6.0 * cosine - 5.0 * near + intercept
            assert answer == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-5)


def test_a_sound_alone_and_its_windows_are_scored_alike() -> None:
    made, given = embedder(full()), cosines(2, 5)
    together = made.tag_probabilities(given)
    assert together.shape == (2, 5, TAGS)
    for clip in range(2):
        for window in range(5):
            alone = made.tag_probabilities(given[clip, window])
            np.testing.assert_array_equal(alone, together[clip, window])


def test_extremes_neither_overflow_nor_warn() -> None:
    made = embedder(full(slope=5000.0, temperature=0.001))
    assert set(made.tag_probabilities(np.array([1, -1, 1, -1, 1, -1], np.float32))) <= {0.0, 1.0}
    assert level(np.array([1.0, 1.0]), 0.001).tolist() == pytest.approx([1.0])


def test_cosines_of_other_tags_are_refused() -> None:
    made = embedder(full())
    with pytest.raises(InputError, match=r"expected those of 6 tags, got the shape \[2, 5\]"):
        made.tag_probabilities(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("name", ["intercepts", "thresholds", "rates"])
def test_a_card_for_other_tags_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"calibration: expected {name} of 6 tags, got 2"):
        embedder(full(**{name: [0.1, 0.2]}))


def test_thresholds_rates_and_summary() -> None:
    made = embedder(full())
    np.testing.assert_allclose(made.tag_thresholds, full()["thresholds"], rtol=1e-6)
    assert made.tag_rates is not None
    np.testing.assert_allclose(made.tag_rates, full()["rates"], rtol=1e-6)
    said = made.calibration_summary()
    assert said is not None
    assert (said["method"], said["clips"], said["slope"]) == ("by hand", 12, 6.0)
    assert "intercepts" not in said
    assert "rates" not in said
    assert list(said["thresholds"]) == made.vocabulary
    assert said["thresholds"][made.vocabulary[1]] == {
        "threshold": 0.4,
        "rate": 0.2,
        "clips": 5,
        "precision": 0.25,
        "recall": 0.5,
    }
    assert said["thresholds"][made.vocabulary[5]]["precision"] is None


def test_models_with_one_curve_or_none_still_work() -> None:
    bare, old = embedder(None), embedder({"slope": 4.0, "intercept": -1.0, "pairs": 7})
    given = cosines(2)
    np.testing.assert_allclose(bare.tag_probabilities(given), (1 + given) / 2, rtol=1e-6)
    expected = 1 / (1 + np.exp(-(4 * given - 1)))
    np.testing.assert_allclose(old.tag_probabilities(given), expected, rtol=1e-5)
    for made in (bare, old):
        assert made.tag_thresholds.tolist() == [0.5] * TAGS
        assert made.tag_rates is None
    assert bare.calibration_summary() is None
    assert old.calibration_summary() == {
        "method": "one curve for all tags",
        "slope": 4.0,
        "intercept": -1.0,
        "pairs": 7,
        "thresholds": {},
    }


def test_the_temperature_of_classes_is_its_own() -> None:
    assert embedder(None).class_temperature == 0.1
    assert embedder(None, temperature=0.07).class_temperature == 0.07
    made = embedder(None, temperature=0.07, class_temperature=0.2)
    assert (made.temperature, made.class_temperature) == (0.07, 0.2)


def test_a_card_is_replaced_and_all_else_stays(tmp_path: Path) -> None:
    before = checkpoint.save(tmp_path / "a", checkpoint_of(tiny_config()))
    checkpoint.replace_card(tmp_path / "a", {"calibration": full()}, tmp_path / "b")
    assert checkpoint.load(tmp_path / "a").card == {"seed": 0}
    copy = checkpoint.load(tmp_path / "b")
    assert (copy.card, copy.fingerprint) == ({"calibration": full()}, before)
    checkpoint.replace_card(tmp_path / "a" / checkpoint.FILE_NAME, copy.card)
    files = [tmp_path / name / checkpoint.FILE_NAME for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(CheckpointError, match="expected a model file or its directory"):
        checkpoint.replace_card(tmp_path / "c", {})


def test_the_starter_model_states_a_threshold_for_every_tag() -> None:
    made = Embedder.load(starter_model())
    said = made.calibration_summary()
    assert said is not None
    assert list(said["thresholds"]) == made.vocabulary
    for tag, row in said["thresholds"].items():
        assert 0 < row["rate"] < 1, tag
        assert 0 < row["threshold"] < 1, tag
        assert (row["recall"] is None) == (row["clips"] < 5), tag
    assert len(set(made.tag_thresholds.tolist())) > len(made.vocabulary) / 2
    assert said["ece"]["after"] < said["ece"]["before"]
    assert said["log_loss"]["after"] < said["log_loss"]["before"]
    assert made.class_temperature != made.temperature
