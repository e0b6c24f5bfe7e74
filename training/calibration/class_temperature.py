"""The temperature of the softmax over exclusive classes, fitted on validation clips.

Each pair of a clip and one of its tags becomes a multiple choice: the tag among CLASSES - 1
distractors that the clip does not have. Distractors are drawn as tags of other clips, so that a
frequent tag is as often a distractor as it is the answer. The temperature minimises the negative
log likelihood of the answers. Scores are cosines, or standard scores where the model has a
background (`ValidationSet.class_scores`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Floats
from earmark.training.calibration.validation_set import ValidationSet

CLASSES = 10
DRAWS = 4  # choices for each pair of a clip and a tag
CANDIDATES = 64  # tags drawn to take the distractors from
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 10.0
SEED = 0


def draw_choices(validation: ValidationSet) -> tuple[Floats, Floats]:
    """(scores [m, CLASSES] of the answer and its distractors, weights [m]).

    A row with too few distractors ends in -inf; one without any is left out.
    """
    generator = np.random.default_rng(SEED)
    clips, tags = np.nonzero(validation.has_tag)
    weights = (validation.weights / np.maximum(1, validation.has_tag.sum(axis=1)))[clips]
    if not len(clips):
        return np.zeros((0, CLASSES)), np.zeros(0)
    shares = weights / weights.sum()
    pairs = np.repeat(np.arange(len(clips)), DRAWS)
    candidates = tags[generator.choice(len(tags), size=(len(pairs), CANDIDATES), p=shares)]
    scores = validation.class_scores
    choices = np.full((len(pairs), CLASSES), -np.inf)
    for row, pair in enumerate(pairs):
        clip = clips[pair]
        distractors = _distractors(candidates[row], validation.has_tag[clip])
        choices[row, 0] = scores[clip, tags[pair]]
        choices[row, 1 : 1 + len(distractors)] = scores[clip, distractors]
    usable = np.isfinite(choices[:, 1])
    return choices[usable], weights[pairs][usable]


def _distractors(
    candidates: npt.NDArray[np.int64], has_tag: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """The first CLASSES - 1 different candidates that the clip does not have."""
    free = candidates[~has_tag[candidates]]
    first = np.sort(np.unique(free, return_index=True)[1])
    return free[first[: CLASSES - 1]]


def choice_loss(choices: Floats, weights: Floats, temperature: float) -> float:
    """Weighted mean −log probability of the answer, the first of each row, in nats."""
    logits = (choices - choices[:, :1]) / temperature
    highest = logits.max(axis=1, keepdims=True)
    losses = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float((weights * losses).sum() / weights.sum())


def fit_class_temperature(validation: ValidationSet) -> float | None:
    """The temperature of the least loss; None without a choice to fit it on."""
    from scipy.optimize import minimize_scalar

    choices, weights = draw_choices(validation)
    if not len(choices):
        return None
    best = minimize_scalar(
        lambda exponent: choice_loss(choices, weights, float(np.exp(exponent))),
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
    )
    return round(float(np.exp(best.x)), 4)
