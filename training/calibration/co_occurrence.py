"""Re-scores a sound's tags given one of its tags, fitted on validation clips.

    logit = own · logit of the tag's probability + near · cosine of the two tags + intercept

A logistic regression over pairs: one tag of a clip, drawn at random, is given; each other tag of
the vocabulary is a pair, positive where the clip has it. The probabilities, and the metrics on the
card, come from fits that did not see the clip. Letters: n = clips, V = tags, m = clips with two
tags or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import rescore_given_tags
from earmark.model.core.arrays import Floats
from earmark.training.calibration.validation_set import ValidationSet
from earmark.training.metrics import ranking

SEED = 0

Folds = Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]  # (clips to fit, left out)


def fit_co_occurrence(
    validation: ValidationSet, probabilities: Floats, folds: Folds
) -> dict[str, Any] | None:
    """The value of `card["company"]`: coefficients, and mAP@10 of a clip's other tags.

    mAP@10 is given by the probabilities "alone" and "beside" the given tag. `probabilities` is
    [n, V]. None without a clip of two tags, or where no pair is negative.
    """
    clips = np.flatnonzero(validation.has_tag.sum(axis=1) >= 2)
    if validation.tag_similarity is None or not len(clips):
        return None
    generator = np.random.default_rng(SEED)
    given = [int(generator.choice(np.flatnonzero(row))) for row in validation.has_tag[clips]]
    others = np.ones((len(clips), probabilities.shape[1]), dtype=np.bool_)
    others[np.arange(len(clips)), given] = False
    shape = (len(clips), -1)  # [m, V - 1]: all tags but the given one
    similarity = validation.tag_similarity[given][others].reshape(shape)
    alone = probabilities[clips][others].reshape(shape)
    positive = validation.has_tag[clips][others].reshape(shape)
    if positive.all():
        return None
    weights = validation.weights[clips]
    beside = alone.copy()
    for train, left_out in folds:
        fit, rest = np.isin(clips, train), np.isin(clips, left_out)
        if fit.any() and rest.any() and not positive[fit].all():
            coefficients = _fit(alone[fit], similarity[fit], positive[fit], weights[fit])
            beside[rest] = rescore_given_tags(
                {"company": coefficients}, alone[rest], similarity[rest]
            )
    scores = {"alone": ranking.map_at(alone, positive), "beside": ranking.map_at(beside, positive)}
    return {
        **_fit(alone, similarity, positive, weights),
        "clips": len(clips),
        "mAP@10": {name: round(value, 4) for name, value in scores.items()},
    }


def _fit(
    probabilities: Floats, similarity: Floats, positive: npt.NDArray[np.bool_], weights: Floats
) -> dict[str, float]:
    """The coefficients of the regression over pairs [m, V - 1]; weights are of clips [m]."""
    from sklearn.linear_model import LogisticRegression

    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    features = np.stack([np.log(clipped / (1 - clipped)).ravel(), similarity.ravel()], axis=1)
    pair_weights = np.repeat(weights, probabilities.shape[1])
    regression = LogisticRegression(C=1e6).fit(
        features, positive.ravel(), sample_weight=pair_weights
    )
    own, near = regression.coef_[0].tolist()
    return {
        "own": round(own, 4),
        "near": round(near, 4),
        "intercept": round(float(regression.intercept_[0]), 4),
    }
