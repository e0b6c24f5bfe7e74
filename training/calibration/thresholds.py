"""From which probability a tag is suggested.

Two thresholds of best F1: one for all pairs of a clip and a tag, from the tags carried; and for
each tag one from the probabilities alone, F1 as they let expect it, which rare tags have too. The
threshold of a tag lies between, OWN_SHARE of the way to its own (in logarithms): the common one
hardly ever suggests a rare tag, a tag's own suggests it ten times too often. A threshold from
the few clips that carry a tag does not hold on other sources (README of the starter model).
Letters: n = clips, V = tags.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Floats

OWN_SHARE = 0.75
SMALLEST = 1e-6


def best_f1(probable: Floats, true: Floats, weights: Floats) -> float:
    """The threshold of the highest F1 over pairs; `true`: whether, or how probably, each is."""
    order = np.argsort(-probable, kind="stable")
    ranked, weighted = probable[order], weights[order]
    hits = np.cumsum(weighted * true[order])
    f1 = 2 * hits / (np.cumsum(weighted) + hits[-1])
    last = np.append(ranked[1:] != ranked[:-1], True)  # equals are suggested together
    return float(ranked[np.argmax(np.where(last, f1, -1.0))])


def tag_thresholds(probable: Floats, carried: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """The threshold of each tag [V], by probabilities [n, V]; weights are [n]."""
    each = np.repeat(weights, probable.shape[1])
    common = best_f1(probable.ravel(), carried.ravel().astype(np.float64), each)
    own = np.array([best_f1(column, column, weights) for column in probable.T])
    between = np.log(np.maximum(common, SMALLEST)) * (1 - OWN_SHARE)
    return np.asarray(np.exp(between + np.log(np.maximum(own, SMALLEST)) * OWN_SHARE))


def found(
    suggested: npt.NDArray[np.bool_], carried: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """(precision, recall) of each tag [V]; NaN where nothing was suggested, or carried."""
    hits = (suggested & carried).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return hits / suggested.sum(axis=0), hits / carried.sum(axis=0)
