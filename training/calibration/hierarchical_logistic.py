"""Logistic regression with an offset for each tag, shrunk towards what all tags share.

    logit of a pair (clip, tag) = features · shared coefficients + offset of the tag

The penalty of an offset is `shrinkage` / 2 times its square: a normal prior of variance
1 / shrinkage, so a tag of few clips stays near the shared fit. Letters: n = clips, V = tags,
k = features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import sigmoid
from earmark.model.core.arrays import Floats

RIDGE = 1e-3  # on the shared coefficients: keeps them finite where a feature does not vary
MAX_STEPS = 50
MIN_GAIN = 1e-5  # nats: Newton's method ends below it


@dataclass(frozen=True)
class HierarchicalFit:
    """Coefficients `shared` [k] and `offsets` [V]."""

    shared: Floats
    offsets: Floats

    def logits(self, features: Floats) -> Floats:
        """Features [n, V, k] → logits [n, V]."""
        return np.asarray(features @ self.shared + self.offsets, dtype=np.float64)


def fit_hierarchical_logistic(
    features: Floats,
    has_tag: npt.NDArray[np.bool_],
    weights: Floats,
    shrinkage: float,
    start: HierarchicalFit | None = None,
) -> HierarchicalFit:
    """Fit pairs [n, V] with features [n, V, k] by Newton's method; weights are of clips [n].

    The last feature must be constant. `start`: where to begin, for speed.
    """
    clip_weights = weights[:, None]
    if start is None:
        pairs = clip_weights.sum() * has_tag.shape[1]
        share = float(np.clip((clip_weights * has_tag).sum() / pairs, 1e-9, 0.5))
        start = HierarchicalFit(np.zeros(features.shape[2]), np.zeros(features.shape[1]))
        start.shared[-1] = np.log(share / (1 - share)) / features[0, 0, -1]

    def cost(point: HierarchicalFit) -> float:
        logits = point.logits(features)
        pair_loss = (clip_weights * (np.logaddexp(0, logits) - has_tag * logits)).sum()
        offsets, shared = (point.offsets**2).sum(), (point.shared**2).sum()
        return float(pair_loss + 0.5 * shrinkage * offsets + 0.5 * RIDGE * shared)

    best, lowest = start, cost(start)
    for _ in range(MAX_STEPS):
        step = _newton_step(features, has_tag, clip_weights, shrinkage, best)
        size = 1.0
        while True:
            point = HierarchicalFit(
                best.shared - size * step.shared, best.offsets - size * step.offsets
            )
            value = cost(point)
            if value <= lowest or size < 1e-6:
                break
            size /= 2
        gain = lowest - value
        if gain > 0:
            best, lowest = point, value
        if gain < MIN_GAIN:
            break
    return best


def _newton_step(
    features: Floats,
    has_tag: npt.NDArray[np.bool_],
    clip_weights: Floats,
    shrinkage: float,
    point: HierarchicalFit,
) -> HierarchicalFit:
    """The step to subtract. The Hessian's block of offsets is diagonal, so only the Schur
    complement [k, k] is solved.
    """
    size = features.shape[2]
    probabilities = sigmoid(point.logits(features))
    residuals = clip_weights * (probabilities - has_tag)
    curvature = clip_weights * probabilities * (1 - probabilities)
    weighted = features * curvature[..., None]
    flat = features.reshape(-1, size)
    shared_gradient = flat.T @ residuals.ravel() + RIDGE * point.shared
    offset_gradient = residuals.sum(axis=0) + shrinkage * point.offsets
    shared_block = flat.T @ weighted.reshape(-1, size) + RIDGE * np.eye(size)
    diagonal = curvature.sum(axis=0) + shrinkage
    crossed = weighted.sum(axis=0)  # [V, k]
    schur = shared_block - crossed.T @ (crossed / diagonal[:, None])
    step = np.linalg.solve(schur, shared_gradient - crossed.T @ (offset_gradient / diagonal))
    return HierarchicalFit(step, (offset_gradient - crossed @ step) / diagonal)
