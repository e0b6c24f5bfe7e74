"""The temperature of the softmax over exclusive classes, fitted on validation clips.

A clip's tag stands among CLASSES - 1 others that it does not carry, each drawn as a tag of
another clip, so that frequent tags are as often wrong as right. The temperature is the one that
makes the true ones most likely.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Floats
from earmark.training.calibration.validation_set import Evidence

CLASSES = 10
DRAWS = 4  # of others, for each tag that a clip carries
CANDIDATES = 64  # that are looked at for the others
LOWEST, HIGHEST = 0.01, 10.0
SEED = 0


def choices(evidence: Evidence) -> tuple[Floats, Floats]:
    """(cosines [m, CLASSES] of the true tag and others, weights [m]).

    Where a clip finds fewer others, its row ends in -inf; without any it is left out.
    """
    generator = np.random.default_rng(SEED)
    clips, tags = np.nonzero(evidence.carried)
    weights = (evidence.weights / np.maximum(1, evidence.carried.sum(axis=1)))[clips]
    if not len(clips):
        return np.zeros((0, CLASSES)), np.zeros(0)
    shares = weights / weights.sum()
    pairs = np.repeat(np.arange(len(clips)), DRAWS)
    drawn = tags[generator.choice(len(tags), size=(len(pairs), CANDIDATES), p=shares)]
    rows = np.full((len(pairs), CLASSES), -np.inf)
    for row, pair in enumerate(pairs):
        clip = clips[pair]
        others = _others(drawn[row], evidence.carried[clip])
        rows[row, 0] = evidence.cosines[clip, tags[pair]]
        rows[row, 1 : 1 + len(others)] = evidence.cosines[clip, others]
    kept = np.isfinite(rows[:, 1])
    return rows[kept], weights[pairs][kept]


def _others(
    candidates: npt.NDArray[np.int64], carried: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """The first different ones that the clip does not carry."""
    free = candidates[~carried[candidates]]
    first = np.sort(np.unique(free, return_index=True)[1])
    return free[first[: CLASSES - 1]]


def loss(rows: Floats, weights: Floats, temperature: float) -> float:
    """Mean -log probability of the true class, the first of each row, in nats."""
    ahead = (rows - rows[:, :1]) / temperature
    high = ahead.max(axis=1, keepdims=True)
    losses = high[:, 0] + np.log(np.exp(ahead - high).sum(axis=1))
    return float((weights * losses).sum() / weights.sum())


def fit_class_temperature(evidence: Evidence) -> float | None:
    """The temperature of the least loss; None where no clip has a tag and another to mistake."""
    from scipy.optimize import minimize_scalar

    rows, weights = choices(evidence)
    if not len(rows):
        return None
    best = minimize_scalar(
        lambda exponent: loss(rows, weights, float(np.exp(exponent))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
    )
    return round(float(np.exp(best.x)), 4)
