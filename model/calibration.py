"""Cosines → probabilities of tags, by the calibration that a model's card states.

A probability is the share of validation clips with such a score that carry the tag. Tags are
independent of each other: several can be probable. Clips rarely carry every tag that is true of
them, so a probability is a lower bound of how often the tag is true. Axes: V = tags of the
vocabulary, in its order; n = labels.

`card["calibration"]` has two forms. With `intercepts`, each tag has its own curve:

    logit = slope · cosine + crowd · log_mean_exp + intercept of the tag

where log_mean_exp = τ log mean exp(cosine / τ) over the V cosines of a sound: `crowd` is negative,
so a cosine counts for more if it stands out among the others. Without `intercepts`, `slope` and
`intercept` are one curve for all tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array, Floats
from earmark.model.core.errors import CheckpointError, InputError

Real = npt.NDArray[np.floating[Any]]

DEFAULT_THRESHOLD = 0.5  # if a card states none: more probable than not
DEFAULT_TEMPERATURE = 0.1  # of the training softmax, if a card states none


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logit)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float64)


def log_mean_exp(cosines: Floats, temperature: float) -> Floats:
    """τ log mean exp(cosine / τ): cosines [..., V] → [..., 1], between their mean and maximum."""
    high = cosines.max(axis=-1, keepdims=True)
    powers = np.exp((cosines - high) / temperature).mean(axis=-1, keepdims=True)
    return np.asarray(high + temperature * np.log(powers), dtype=np.float64)


@dataclass(frozen=True)
class Uncalibrated:
    """Stands in for a calibration that the card does not state: (1 + cosine) / 2.

    `thresholds`: [V].
    """

    thresholds: Array
    rates: None = None

    def probabilities(self, cosines: Array) -> Array:
        """Cosines [..., V] → [..., V]."""
        return np.asarray((1 + cosines) / 2, dtype=np.float32)

    def label_probabilities(
        self, cosines: Array, _indices: Sequence[int | None], _tag_cosines: Array
    ) -> Array:
        """Cosines [..., n] → [..., n]."""
        return self.probabilities(cosines)


@dataclass(frozen=True)
class Calibration:
    """The calibration of a model. `intercepts` and `thresholds` are [V].

    `thresholds`: the probability from which a tag is suggested. `rates` [V]: the probability of
    each tag before the sound is heard (the prior); None if the card states none. A card with one
    curve for all tags has a scalar intercept and `crowd` 0.
    """

    slope: float
    intercepts: Floats
    crowd: float
    temperature: float
    thresholds: Array
    rates: Array | None

    @classmethod
    def from_card(cls, card: Mapping[str, Any], tags: int) -> Calibration | Uncalibrated:
        """The calibration that the card of a model with `tags` tags states.

        Raises CheckpointError if it is for another number of tags.
        """
        stated = card.get("calibration")
        default_thresholds = np.full(tags, DEFAULT_THRESHOLD, dtype=np.float32)
        if stated is None:
            return Uncalibrated(default_thresholds)
        if "intercepts" not in stated:
            intercept = np.array(stated["intercept"], dtype=np.float64)
            return cls(float(stated["slope"]), intercept, 0.0, 1.0, default_thresholds, None)
        for name in ("intercepts", "thresholds", "rates"):
            if len(stated[name]) != tags:
                raise CheckpointError(
                    f"card: calibration: expected {name} of {tags} tags, got {len(stated[name])}"
                )
        return cls(
            float(stated["slope"]),
            np.array(stated["intercepts"], dtype=np.float64),
            float(stated["crowd"]),
            float(stated["temperature"]),
            np.array(stated["thresholds"], dtype=np.float32),
            np.array(stated["rates"], dtype=np.float32),
        )

    def probabilities(self, cosines: npt.NDArray[Any]) -> Array:
        """Cosines [..., V] of sounds with the vocabulary → probabilities [..., V].

        Raises InputError for another number of cosines, if each tag has its own curve.
        """
        exact = np.asarray(cosines, dtype=np.float64)
        if self.intercepts.ndim and exact.shape[-1:] != self.intercepts.shape:
            raise InputError(
                f"cosines: expected one for each of {len(self.intercepts)} tags, "
                f"got the shape {list(exact.shape)}"
            )
        logits = self.slope * exact + self.intercepts
        if self.crowd:
            logits = logits + self.crowd * log_mean_exp(exact, self.temperature)
        return sigmoid(logits).astype(np.float32)

    def label_probabilities(
        self, cosines: Array, indices: Sequence[int | None], tag_cosines: Array
    ) -> Array:
        """Cosines [..., n] of sounds with any labels → probabilities [..., n].

        `indices` [n]: of the labels in the vocabulary; a label outside it (None) gets the median
        intercept. `tag_cosines` [..., V]: of the same sounds with the vocabulary.
        """
        intercepts = np.full(len(indices), np.median(self.intercepts))
        if self.intercepts.ndim:
            intercepts[:] = [
                intercepts[0] if index is None else self.intercepts[index] for index in indices
            ]
        logits = self.slope * cosines.astype(np.float64) + intercepts
        if self.crowd:
            crowd = log_mean_exp(tag_cosines.astype(np.float64), self.temperature)
            logits = logits + self.crowd * crowd
        return sigmoid(logits).astype(np.float32)


# For cards that state none: fitted on the validation clips of an earlier starter model.
DEFAULT_CO_OCCURRENCE = {"own": 0.91, "near": 4.37, "intercept": -2.42}


def rescore_given_tags(card: Mapping[str, Any], probabilities: Real, cosines: Real) -> Array:
    """Probabilities [..., V] of tags → probabilities [..., V] given the known tags of the sound:

        logit = own · logit of the probability + near · cosine + intercept

    `cosines` [V]: of each tag with the set of known tags. The coefficients are `card["company"]`.
    """
    fitted = card.get("company", DEFAULT_CO_OCCURRENCE)
    exact = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    logits = (
        fitted["own"] * np.log(exact / (1 - exact)) + fitted["near"] * cosines + fitted["intercept"]
    )
    return sigmoid(logits).astype(np.float32)


def class_temperature(card: Mapping[str, Any], *, standard_scores: bool = False) -> float:
    """τ of the softmax over exclusive classes: fitted on validation clips, else as trained, or 1
    where it is over standard scores (`model.background`)."""
    temperature = 1.0 if standard_scores else card.get("temperature", DEFAULT_TEMPERATURE)
    return float(card.get("class_temperature", temperature))


def summary(card: Mapping[str, Any], vocabulary: Sequence[str]) -> dict[str, Any] | None:
    """A calibration as the API shows it, None without one: its figures, and for each tag

    - `threshold`: the probability from which it is suggested;
    - `rate`: its probability before the sound is heard;
    - `clips`: the validation clips that carry it;
    - `precision` and `recall` at the threshold, on sources left out of the fit (None if too few
      clips carry the tag).
    """
    stated = card.get("calibration")
    if stated is None:
        return None
    arrays = ("intercepts", "thresholds", "rates", "carriers", "precision", "recall")
    figures = {name: value for name, value in stated.items() if name not in arrays}
    if "intercepts" not in stated:
        return {"method": "one curve for all tags", **figures, "thresholds": {}}
    names = {"threshold": "thresholds", "rate": "rates", "clips": "carriers"}
    columns = {**names, "precision": "precision", "recall": "recall"}
    by_tag = {
        tag: {name: stated[column][number] for name, column in columns.items()}
        for number, tag in enumerate(vocabulary)
    }
    return {**figures, "thresholds": by_tag}
