"""What one known tag of a sound says of its others, fitted on validation clips.

    logit = own · logit of the probability alone + near · cosine of the two tags + intercept

A logistic regression over pairs of a clip of which one tag, drawn, is known, and each other tag of
the vocabulary, true where the clip carries it. The probabilities are of fits that did not see the
clip, and so are the figures. Letters: n = clips, V = tags, m = clips with two tags or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import rescore_given_tags
from earmark.model.core.arrays import Floats
from earmark.training.calibration.validation_set import Evidence
from earmark.training.metrics import ranking

SEED = 0

Numbers = npt.NDArray[np.int64]


def fit_company(
    evidence: Evidence, probable: Floats, folds: Sequence[tuple[Numbers, Numbers]]
) -> dict[str, Any] | None:
    """`card["company"]`, as `model.calibration.in_company` reads it, with the mAP@10 of a clip's
    other tags by their probabilities alone and beside the known one.

    `probable`: [n, V]; `folds`: (clips that fit, clips left out). None where no clip has a tag
    beside another, or every one has all others.
    """
    clips = np.flatnonzero(evidence.carried.sum(axis=1) >= 2)
    if evidence.alike is None or not len(clips):
        return None
    draws = np.random.default_rng(SEED)
    known = [int(draws.choice(np.flatnonzero(row))) for row in evidence.carried[clips]]
    others = np.ones((len(clips), probable.shape[1]), dtype=np.bool_)
    others[np.arange(len(clips)), known] = False
    shape = (len(clips), -1)  # [m, V - 1]: of every clip, the tags that are not known
    near = evidence.alike[known][others].reshape(shape)
    alone = probable[clips][others].reshape(shape)
    true = evidence.carried[clips][others].reshape(shape)
    if true.all():
        return None
    weights = evidence.weights[clips]
    beside = alone.copy()
    for train, out in folds:
        rows, rest = np.isin(clips, train), np.isin(clips, out)
        if rows.any() and rest.any() and not true[rows].all():
            fitted = _fit(alone[rows], near[rows], true[rows], weights[rows])
            beside[rest] = rescore_given_tags({"company": fitted}, alone[rest], near[rest])
    scores = {"alone": ranking.map_at(alone, true), "beside": ranking.map_at(beside, true)}
    return {
        **_fit(alone, near, true, weights),
        "clips": len(clips),
        "mAP@10": {name: round(value, 4) for name, value in scores.items()},
    }


def _fit(
    alone: Floats, near: Floats, true: npt.NDArray[np.bool_], weights: Floats
) -> dict[str, float]:
    """The regression over pairs [m, V - 1]; weights are of clips [m]."""
    from sklearn.linear_model import LogisticRegression

    exact = np.clip(alone, 1e-7, 1 - 1e-7)
    features = np.stack([np.log(exact / (1 - exact)).ravel(), near.ravel()], axis=1)
    each = np.repeat(weights, alone.shape[1])
    made = LogisticRegression(C=1e6).fit(features, true.ravel(), sample_weight=each)
    own, cosine = made.coef_[0].tolist()
    return {
        "own": round(own, 4),
        "near": round(cosine, 4),
        "intercept": round(float(made.intercept_[0]), 4),
    }
