"""The probability from which a tag is suggested.

Two thresholds maximise F1: a common one over all pairs of a clip and a tag, measured on the clips'
tags; and one for each tag, where F1 is the one that the probabilities predict, so that rare tags
have one too. A tag's threshold is their weighted geometric mean, TAG_WEIGHT for its own: the
common one hardly ever suggests a rare tag, and a tag's own suggests it ten times too often. A
threshold measured on the few clips that have a tag does not hold for other sources (see the
starter model's README).
Letters: n = clips, V = tags.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Floats

TAG_WEIGHT = 0.75
SMALLEST = 1e-6


def best_f1_threshold(probabilities: Floats, positives: Floats, weights: Floats) -> float:
    """The threshold of the highest F1 over pairs.

    `positives`: for each pair 1, 0 or the probability that it is positive.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked, weighted = probabilities[order], weights[order]
    hits = np.cumsum(weighted * positives[order])
    f1 = 2 * hits / (np.cumsum(weighted) + hits[-1])
    last = np.append(ranked[1:] != ranked[:-1], True)  # ties are suggested together
    return float(ranked[np.argmax(np.where(last, f1, -1.0))])


def tag_thresholds(
    probabilities: Floats, has_tag: npt.NDArray[np.bool_], weights: Floats
) -> Floats:
    """The threshold of each tag [V]; probabilities and has_tag are [n, V], weights [n]."""
    pair_weights = np.repeat(weights, probabilities.shape[1])
    common = best_f1_threshold(
        probabilities.ravel(), has_tag.ravel().astype(np.float64), pair_weights
    )
    by_tag = np.array([best_f1_threshold(column, column, weights) for column in probabilities.T])
    common_part = np.log(np.maximum(common, SMALLEST)) * (1 - TAG_WEIGHT)
    return np.asarray(np.exp(common_part + np.log(np.maximum(by_tag, SMALLEST)) * TAG_WEIGHT))


def precision_recall(
    suggested: npt.NDArray[np.bool_], has_tag: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(precision, recall) of each tag [V]; NaN for a tag without suggestions, or without clips."""
    hits = (suggested & has_tag).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return hits / suggested.sum(axis=0), hits / has_tag.sum(axis=0)
