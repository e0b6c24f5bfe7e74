"""Downstream classification with frozen features (paper §3.2, METHOD §6).

Protocol: features are standardised with the training split's statistics; the classifier is
scikit-learn's MLPClassifier with one hidden layer of 256 and its defaults, as the authors ran it;
accuracy is averaged over the given folds and repeated with different seeds. Features are [n, d],
labels [n].
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array
from earmark.training.errors import CorpusError

ClassNumbers = npt.NDArray[np.int64]

HIDDEN_UNITS = 256


@dataclass(frozen=True)
class Split:
    """Indices of the clips to train on and of the clips to test on."""

    name: str
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def fold_splits(folds: Sequence[str]) -> list[Split]:
    """Each fold tests once, all others train. Raises CorpusError for fewer than two folds."""
    names = sorted(set(folds))
    if len(names) < 2 or "" in names:
        raise CorpusError(f"fold: expected two folds or more for every clip, got {names}")
    fold_of = np.array(folds)
    return [
        Split(name, np.flatnonzero(fold_of != name), np.flatnonzero(fold_of == name))
        for name in names
    ]


def given_split(splits: Sequence[str]) -> list[Split]:
    """The split of a data set's own lists: "train" and "test". Raises CorpusError."""
    side_of = np.array(splits)
    split = Split("test", np.flatnonzero(side_of == "train"), np.flatnonzero(side_of == "test"))
    if not len(split.train) or not len(split.test):
        raise CorpusError(
            f"split: expected clips to train and to test, got {len(split.train)} "
            f"and {len(split.test)}"
        )
    return [split]


def check_classes(labels: Sequence[str]) -> None:
    """Raise CorpusError for fewer than two classes, or for a class of one clip."""
    names, counts = np.unique(labels, return_counts=True)
    if len(names) < 2:
        raise CorpusError(f"class: expected two classes or more, got {names.tolist()}")
    if counts.min() < 2:
        rare = str(names[counts.argmin()])
        raise CorpusError(f"class: expected two clips or more of each, got one of {rare!r}")


def evaluate(
    features: Array, labels: Sequence[str], splits: Sequence[Split], *, repeats: int, seed: int = 0
) -> dict[str, Any]:
    """Accuracies of the repeats, and the confusion matrix summed over them.

    Raises CorpusError for one class, a class of one clip, or features that are not finite.
    """
    check_classes(labels)
    names, classes = np.unique(labels, return_inverse=True)
    if not np.isfinite(features).all():
        raise CorpusError("features: expected finite numbers")
    jobs = [
        joblib.delayed(_fit_and_predict)(features, classes, split, seed + repeat)
        for repeat in range(repeats)
        for split in splits
    ]
    predicted = joblib.Parallel(n_jobs=-1)(jobs)
    accuracies = np.zeros((repeats, len(splits)))
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    for job, guesses in enumerate(predicted):
        repeat, fold = divmod(job, len(splits))
        truth = classes[splits[fold].test]
        accuracies[repeat, fold] = (guesses == truth).mean()
        np.add.at(confusion, (truth, guesses), 1)
    runs = accuracies.mean(axis=1)
    return {
        "metrics": {
            "accuracy": {
                "mean": float(runs.mean()),
                "std": float(runs.std()),
                "runs": runs.tolist(),
            }
        },
        "folds": dict(
            zip([split.name for split in splits], accuracies.mean(axis=0).tolist(), strict=True)
        ),
        "classes": names.tolist(),
        "confusion": confusion.tolist(),
        "protocol": {
            "classifier": (
                f"scikit-learn MLPClassifier, one hidden layer of {HIDDEN_UNITS}, defaults"
            ),
            "standardised": "with the training split's mean and deviation",
            "clips": len(features),
            "dimensions": int(features.shape[1]),
            "splits": {split.name: [len(split.train), len(split.test)] for split in splits},
            "repeats": repeats,
            "seed": seed,
        },
    }


def _fit_and_predict(
    features: Array, classes: ClassNumbers, split: Split, seed: int
) -> ClassNumbers:
    """Train on a split; returns the predicted classes of its test clips."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    scaler = StandardScaler().fit(features[split.train])
    classifier = MLPClassifier(hidden_layer_sizes=(HIDDEN_UNITS,), random_state=seed)
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # As the authors ran it: the defaults stop after 200 iterations, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaler.transform(features[split.train]), classes[split.train])
    guesses = classifier.predict(scaler.transform(features[split.test]))
    return np.asarray(guesses, dtype=np.int64)
