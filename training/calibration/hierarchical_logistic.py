"""Logistic regression with an offset for each tag, shrunk towards what all tags share.

    logit of pair (clip, tag) = features · shared + offset of the tag

An offset costs `shrinkage` / 2 times its square, as if drawn from a normal distribution of
variance 1 / shrinkage: a tag of which few clips tell keeps to the shared fit. Letters: n = clips,
V = tags, k = features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import sigmoid
from earmark.model.core.arrays import Floats

RIDGE = 1e-3  # on what is shared: keeps it finite where features do not vary
MAX_STEPS = 50
ENOUGH = 1e-5  # nats: the gain below which Newton's steps end


@dataclass(frozen=True)
class Fit:
    """`shared` [k] and `offsets` [V]."""

    shared: Floats
    offsets: Floats

    def logits(self, features: Floats) -> Floats:
        """Features [n, V, k] → logits [n, V]."""
        return np.asarray(features @ self.shared + self.offsets, dtype=np.float64)


def fit(
    features: Floats,
    carried: npt.NDArray[np.bool_],
    weights: Floats,
    shrinkage: float,
    start: Fit | None = None,
) -> Fit:
    """The fit of pairs [n, V] with features [n, V, k], by Newton's method; weights are [n].

    The last feature must be constant. `start`: where to begin, for speed.
    """
    each = weights[:, None]
    if start is None:
        share = float(np.clip((each * carried).sum() / (each.sum() * carried.shape[1]), 1e-9, 0.5))
        start = Fit(np.zeros(features.shape[2]), np.zeros(features.shape[1]))
        start.shared[-1] = np.log(share / (1 - share)) / features[0, 0, -1]

    def cost(point: Fit) -> float:
        logits = point.logits(features)
        pairs = (each * (np.logaddexp(0, logits) - carried * logits)).sum()
        own, shared = (point.offsets**2).sum(), (point.shared**2).sum()
        return float(pairs + 0.5 * shrinkage * own + 0.5 * RIDGE * shared)

    now, value = start, cost(start)
    for _ in range(MAX_STEPS):
        step = _newton(features, carried, each, shrinkage, now)
        size = 1.0
        while True:
            reached = Fit(now.shared - size * step.shared, now.offsets - size * step.offsets)
            new = cost(reached)
            if new <= value or size < 1e-6:
                break
            size /= 2
        gain = value - new
        if gain > 0:
            now, value = reached, new
        if gain < ENOUGH:
            break
    return now


def _newton(
    features: Floats, carried: npt.NDArray[np.bool_], each: Floats, shrinkage: float, at: Fit
) -> Fit:
    """The step that Newton's method subtracts. Offsets meet only what is shared, so that the
    matrix is solved by its small block (Schur's complement)."""
    size = features.shape[2]
    probable = sigmoid(at.logits(features))
    slack = each * (probable - carried)
    curved = each * probable * (1 - probable)
    weighted = features * curved[..., None]
    flat = features.reshape(-1, size)
    shared = flat.T @ slack.ravel() + RIDGE * at.shared
    own = slack.sum(axis=0) + shrinkage * at.offsets
    matrix = flat.T @ weighted.reshape(-1, size) + RIDGE * np.eye(size)
    diagonal = curved.sum(axis=0) + shrinkage
    crossed = weighted.sum(axis=0)  # [V, k]
    small = matrix - crossed.T @ (crossed / diagonal[:, None])
    step = np.linalg.solve(small, shared - crossed.T @ (own / diagonal))
    return Fit(step, (own - crossed @ step) / diagonal)
