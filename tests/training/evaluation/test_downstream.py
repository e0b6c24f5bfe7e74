"""The downstream protocol: splits, standardisation, seeds, figures, and what it refuses."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from earmark.training.errors import CorpusError
from earmark.training.evaluation.downstream import (
    Split,
    check_classes,
    evaluate,
    fold_splits,
    given_split,
)

CLASSES = ("bell", "dog", "rain")


def blobs(count: int, apart: float, seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """(features [n, 6], labels, three folds): classes `apart` deviations from one another."""
    generator = np.random.default_rng(seed)
    numbers = np.arange(count) % 3
    features = generator.standard_normal((count, 6)) + apart * np.eye(3, 6)[numbers]
    folds = [str(1 + number // 3 % 3) for number in range(count)]
    return features.astype(np.float32), [CLASSES[number] for number in numbers], folds


def run(apart: float, count: int = 90, **settings: int) -> dict[str, Any]:
    features, labels, folds = blobs(count, apart)
    return evaluate(features, labels, fold_splits(folds), **{"repeats": 2, **settings})


# Figures


def test_separable_classes_are_classified() -> None:
    result = run(12.0)
    accuracy = result["metrics"]["accuracy"]
    assert accuracy == {"mean": 1.0, "std": 0.0, "runs": [1.0, 1.0]}
    assert result["folds"] == {"1": 1.0, "2": 1.0, "3": 1.0}
    assert result["classes"] == list(CLASSES)
    assert result["confusion"] == [[60, 0, 0], [0, 60, 0], [0, 0, 60]]
    protocol = result["protocol"]
    assert (protocol["clips"], protocol["dimensions"]) == (90, 6)
    assert (protocol["repeats"], protocol["seed"]) == (2, 0)
    assert protocol["splits"] == {"1": [60, 30], "2": [60, 30], "3": [60, 30]}


def test_random_features_are_near_chance() -> None:
    result = run(0.0, count=300)
    assert 0.22 < result["metrics"]["accuracy"]["mean"] < 0.45


def test_the_figures_agree_with_one_another() -> None:
    result = run(1.5)
    confusion = np.array(result["confusion"])
    accuracy = result["metrics"]["accuracy"]
    assert confusion.sum(axis=1).tolist() == [60, 60, 60]  # 30 of each class, twice
    assert 0.5 < accuracy["mean"] < 1.0
    # Folds of one size: every mean over them is the share of the diagonal.
    assert np.trace(confusion) / confusion.sum() == pytest.approx(accuracy["mean"])
    assert np.mean(list(result["folds"].values())) == pytest.approx(accuracy["mean"])
    assert np.mean(accuracy["runs"]) == pytest.approx(accuracy["mean"])
    assert np.std(accuracy["runs"]) == pytest.approx(accuracy["std"])


def test_accuracy_is_the_mean_over_folds_not_over_clips() -> None:
    """Two folds, of 4 clips and of 40: the small one's weight is one half."""
    features, labels, _ = blobs(44, 12.0)
    labels[0], labels[3] = labels[1], labels[1]  # two of the small fold cannot be right
    splits = fold_splits(["small"] * 4 + ["large"] * 40)
    result = evaluate(features, labels, splits, repeats=1)
    assert result["folds"]["small"] == 0.5
    large = result["folds"]["large"]
    assert result["metrics"]["accuracy"]["mean"] == pytest.approx((0.5 + large) / 2)


def test_rows_are_the_true_classes() -> None:
    """Dogs placed among the bells are classified as bells."""
    features, labels, folds = blobs(90, 12.0)
    fooled = [n for n, fold in enumerate(folds) if fold == "1" and labels[n] == "dog"]
    bells = [n for n, fold in enumerate(folds) if fold == "1" and labels[n] == "bell"]
    features[fooled] = features[bells]
    split = [split for split in fold_splits(folds) if split.name == "1"]
    result = evaluate(features, labels, split, repeats=1)
    assert result["confusion"] == [[10, 0, 0], [10, 0, 0], [0, 0, 10]]
    assert result["metrics"]["accuracy"]["mean"] == pytest.approx(2 / 3)


# The protocol


def by_hand(
    features: np.ndarray, labels: list[str], split: Split, seed: int, scaled_by: np.ndarray
) -> list[list[int]]:
    """The confusion matrix of scikit-learn's own classifier on features scaled by hand."""
    wide = features.astype(np.float64)
    scaled = (wide - wide[scaled_by].mean(axis=0)) / wide[scaled_by].std(axis=0)
    numbers = np.array([CLASSES.index(label) for label in labels])
    classifier = MLPClassifier(hidden_layer_sizes=(256,), random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaled[split.train], numbers[split.train])
    confusion = np.zeros((3, 3), dtype=int)
    np.add.at(confusion, (numbers[split.test], classifier.predict(scaled[split.test])), 1)
    return confusion.tolist()


def test_standardised_by_the_training_split_alone() -> None:
    features, labels, _ = blobs(120, 2.0)
    features[60:] = 4 * features[60:] + 3  # the test side lies elsewhere and is wider
    split = given_split(["train"] * 60 + ["test"] * 60)
    result = evaluate(features, labels, split, repeats=1, seed=5)
    confusion = by_hand(features, labels, split[0], 5, split[0].train)
    assert result["confusion"] == confusion
    assert confusion != by_hand(
        features, labels, split[0], 5, np.arange(120)
    )  # it makes a difference


def test_one_wild_clip_to_test_changes_no_other() -> None:
    features, labels, _ = blobs(60, 12.0)
    features[59] = 1e7
    result = evaluate(features, labels, given_split(["train"] * 30 + ["test"] * 30), repeats=1)
    assert np.trace(result["confusion"]) >= 29


def test_scales_of_the_features_do_not_matter() -> None:
    features, labels, folds = blobs(90, 12.0)
    scaled = features * np.float32([1e-4, 1e4, 1, 1, 1, 0]) + np.float32([0, 0, 100, 0, 0, 7])
    result = evaluate(scaled.astype(np.float32), labels, fold_splits(folds), repeats=1)
    assert result["metrics"]["accuracy"]["mean"] > 0.95


def test_seeds() -> None:
    first = run(1.0, repeats=3)
    assert run(1.0, repeats=3) == first
    runs = first["metrics"]["accuracy"]["runs"]
    assert len(set(runs)) > 1
    later = run(1.0, repeats=2, seed=1)
    assert later["metrics"]["accuracy"]["runs"] == runs[1:]


# Splits


def test_every_fold_tests_once() -> None:
    folds = ["2", "10", "1", "2", "1", "10", "2"]
    splits = fold_splits(folds)
    assert {split.name: split.test.tolist() for split in splits} == {
        "1": [2, 4],
        "2": [0, 3, 6],
        "10": [1, 5],
    }
    for split in splits:
        assert sorted([*split.train, *split.test]) == list(range(7))


def test_the_given_split_leaves_other_clips_out() -> None:
    (split,) = given_split(["train", "test", "validation", "train", ""])
    assert split.train.tolist() == [0, 3]
    assert split.test.tolist() == [1]


@pytest.mark.parametrize("folds", [[], ["1", "1"], ["1", "2", ""], ["", ""]])
def test_missing_folds(folds: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"^fold: expected two folds or more for every clip"):
        fold_splits(folds)


@pytest.mark.parametrize(
    ("splits", "train", "test"),
    [([], 0, 0), (["train"], 1, 0), (["test", "test"], 0, 2), (["", "Train"], 0, 0)],
)
def test_empty_sides(splits: list[str], train: int, test: int) -> None:
    message = f"^split: expected clips to train and to test, got {train} and {test}$"
    with pytest.raises(CorpusError, match=message):
        given_split(splits)


# What is refused


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([], r"class: expected two classes or more, got \[\]"),
        (["dog"] * 4, r"class: expected two classes or more, got \['dog'\]"),
        (["dog", "dog", "rain", "dog"], "class: expected two clips or more of each, got .*'rain'"),
    ],
)
def test_classes(labels: list[str], says: str) -> None:
    with pytest.raises(CorpusError, match=f"^{says}$"):
        check_classes(labels)
    splits = [Split("1", np.array([0, 1]), np.array([2, 3]))]
    with pytest.raises(CorpusError, match=f"^{says}$"):
        evaluate(np.zeros((len(labels), 2), np.float32), labels, splits, repeats=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite(bad: float) -> None:
    features, labels, folds = blobs(18, 1.0)
    features[7, 2] = bad
    with pytest.raises(CorpusError, match=r"^features: expected finite numbers$"):
        evaluate(features, labels, fold_splits(folds), repeats=1)
