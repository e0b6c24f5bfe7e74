"""How well a taught sound is told from others, on labels that its classifier has not seen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array, Floats, Rows
from earmark.model.taught import Teacher

LEAST = 5  # labels of each side, from which figures are made
FOLDS = 5

Bools = npt.NDArray[np.bool_]


def average_precision(scores: Floats, right: Bools) -> float:
    """The mean of the precision at each right one of scores [n], highest first; 0 for none."""
    ordered = right[np.argsort(-scores, kind="stable")]
    places = np.flatnonzero(ordered)
    return float((np.arange(1, len(places) + 1) / (places + 1)).mean()) if len(places) else 0.0


def held_out_figures(
    teacher: Teacher, vectors: Array, right: Bools, rows: Rows
) -> dict[str, float]:
    """Average precision and balanced accuracy, each label [n] scored by a classifier that is fitted
    to those of other clips (`rows` [n]); none below five labels of each side.

    Labels are those that were asked for, many of them hard: a whole library is told apart better.
    """
    clips = np.unique(rows)
    if min(int(right.sum()), int((~right).sum())) < LEAST or len(clips) < FOLDS:
        return {}
    # Clips that are the sound, and those that are not, are dealt out in turn.
    is_right = np.array([bool(right[rows == clip].any()) for clip in clips])
    dealt = np.concatenate([clips[is_right], clips[~is_right]])
    fold_of = {int(clip): place % FOLDS for place, clip in enumerate(dealt)}
    folds = np.array([fold_of[int(row)] for row in rows])
    logits = np.zeros(len(rows))
    for fold in range(FOLDS):
        left_out = folds == fold
        logits[left_out] = teacher.fit(vectors[~left_out], right[~left_out]).logits(
            vectors[left_out]
        )
    found = logits >= 0
    balanced = (found[right].mean() + (~found[~right]).mean()) / 2
    return {
        "average_precision": round(average_precision(logits, right), 4),
        "balanced_accuracy": round(float(balanced), 4),
    }
