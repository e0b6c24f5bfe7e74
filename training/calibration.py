"""Calibration of tag scores: how probable a tag is, given its cosine with a sound.

Platt scaling: one logistic regression over all pairs of a validation clip and a vocabulary
tag, true where the clip carries the tag. Each tag counts for itself, as several can be true.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.checkpoint import Checkpoint
from model.embedder import Embedder
from training.dataset import TrainingSet
from training.evaluation.retrieval import embed_features

MOST_CLIPS = 2_000  # that take part, evenly drawn


def fit_calibration(
    saved: Checkpoint, validation: TrainingSet, tag_sets: Sequence[Sequence[str]]
) -> None:
    """Set `card["calibration"]` to {"slope", "intercept"}; untouched where nothing can be fit."""
    from sklearn.linear_model import LogisticRegression

    device = str(next(saved.model.parameters()).device)
    embedder = Embedder(saved, device)
    step = -(-len(validation) // MOST_CLIPS)
    numbers = validation.numbers[::step].tolist()
    cosines = embed_features(embedder, validation.features, numbers) @ embedder.vocabulary_vectors.T
    own = [set(tag_sets[number]) for number in numbers]
    carried = np.array([[tag in tags for tag in saved.vocabulary] for tags in own])
    if not carried.any() or carried.all():
        return
    fit = LogisticRegression(C=1e6).fit(cosines.reshape(-1, 1), carried.ravel())
    saved.card["calibration"] = {
        "slope": float(fit.coef_[0, 0]),
        "intercept": float(fit.intercept_[0]),
        "pairs": int(carried.size),
    }
