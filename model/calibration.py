"""From cosines to how probable tags are: what a model's card says of its scores.

A probability is the share of validation clips scored like this that carry the tag, each tag for
itself. Clips rarely carry all the tags that are true of them, so it is a lower bound of "is it
true". Letters: V = tags of the vocabulary, in its order.

`card["calibration"]` comes in two forms. With `intercepts`:

    logit = slope · cosine + crowd · level + intercept of the tag

where level = τ log mean exp(cosine / τ) over the V cosines of a sound: what stands out among the
other tags counts for more. Without: `slope` and `intercept`, one curve for all tags.
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

UNKNOWN_THRESHOLD = 0.5  # where a card states none: rather true than not


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-logit)), of any size without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), dtype=np.float64)


def level(cosines: Floats, temperature: float) -> Floats:
    """Cosines [..., V] → how near a sound is to tags at all [..., 1], in cosines."""
    high = cosines.max(axis=-1, keepdims=True)
    powers = np.exp((cosines - high) / temperature).mean(axis=-1, keepdims=True)
    return np.asarray(high + temperature * np.log(powers), dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """A model's calibration. `intercepts`, `thresholds` and `rates` are [V].

    `rates`: how probable each tag is of a validation clip that nobody has heard; None where the
    card states none. A card without `intercepts` has one intercept for all and no `crowd`.
    """

    slope: float
    intercepts: Floats
    crowd: float
    temperature: float
    thresholds: Array
    rates: Array | None

    @classmethod
    def of_card(cls, card: Mapping[str, Any], tags: int) -> Calibration | None:
        """What the card of a model with so many tags states, None where it states nothing.

        Raises CheckpointError when it is not for so many tags.
        """
        stated = card.get("calibration")
        if stated is None:
            return None
        if "intercepts" not in stated:
            one = np.array(stated["intercept"], dtype=np.float64)
            unknown = np.full(tags, UNKNOWN_THRESHOLD, dtype=np.float32)
            return cls(float(stated["slope"]), one, 0.0, 1.0, unknown, None)
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
        """Cosines [..., V] of sounds and the vocabulary → probabilities [..., V].

        Raises InputError for another number of cosines, where each tag has its own curve.
        """
        exact = np.asarray(cosines, dtype=np.float64)
        if self.intercepts.ndim and exact.shape[-1:] != self.intercepts.shape:
            raise InputError(
                f"cosines: expected those of {len(self.intercepts)} tags, "
                f"got the shape {list(exact.shape)}"
            )
        logits = self.slope * exact + self.intercepts
        if self.crowd:
            logits = logits + self.crowd * level(exact, self.temperature)
        return sigmoid(logits).astype(np.float32)

    def of_others(self, cosines: Array, places: Sequence[int | None], vocabulary: Array) -> Array:
        """Cosines [n] of a sound with words that need not be in the vocabulary → probabilities [n].

        `places`: in the vocabulary; None where a word is not there: it gets the middle intercept.
        `vocabulary`: the sound's cosines [V] with it.
        """
        own = np.full(len(places), np.median(self.intercepts))
        if self.intercepts.ndim:
            own[:] = [own[0] if at is None else self.intercepts[at] for at in places]
        logits = self.slope * cosines.astype(np.float64) + own
        if self.crowd:
            logits = logits + self.crowd * level(vocabulary.astype(np.float64), self.temperature)
        return sigmoid(logits).astype(np.float32)


# Of a card that states none: fitted on the validation clips of an earlier starter model.
COMPANY = {"own": 0.91, "near": 4.37, "intercept": -2.42}


def in_company(card: Mapping[str, Any], probabilities: Real, near: Real) -> Array:
    """Probabilities [..., V] of tags, and the cosines [V] of each tag with the set of those that
    are known → probabilities [..., V] beside them:

        logit = own · logit of the probability + near · cosine + intercept
    """
    by = card.get("company", COMPANY)
    exact = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    logits = by["own"] * np.log(exact / (1 - exact)) + by["near"] * near + by["intercept"]
    return sigmoid(logits).astype(np.float32)


def summary(card: Mapping[str, Any], vocabulary: Sequence[str]) -> dict[str, Any] | None:
    """What a model's answer says of its calibration: figures, and thresholds by tag.

    None without a calibration. Of each tag: `threshold`, from which it is suggested; `rate`; the
    validation `clips` that carry it, and `precision` and `recall` at the threshold on sources
    that took no part in the fit (None where too few clips carry it to say).
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
