"""How probable it is that a hit of a search is right.

Fitted on searches for held-out clips (`training.calibration.relevance`), one curve for words and
one for sounds. `card["relevance"]` states both:

    heard = cosine · c + standard · s + size · ln(clips of the library) + intercept
    logit = heard + h · (w₀ + w₁ · h + (w₂ + w₃ · h) · heard)

c is the cosine of the query and the hit, of the best window of a long sound; s how many standard
deviations c stands above what the query scores at large (`model.background`), 0 where the model
does not state it; h the share of the query's words that title and tags hold, where a word that only
the description holds counts half. Of searches by sound h is 0.

A probability is the share of such hits that carry the tag that was asked for. Clips rarely carry
every tag that is true of them, so it is a lower bound, as those of suggested tags are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from earmark.model.calibration import Real, sigmoid
from earmark.model.core.arrays import Floats

SURE, MAYBE = 0.5, 0.05  # the least probabilities; see the starter model's README


def confidence(probability: float) -> Literal["sure", "maybe", "unlikely"]:
    """A probability in a word."""
    if probability >= SURE:
        return "sure"
    return "maybe" if probability >= MAYBE else "unlikely"


@dataclass(frozen=True)
class RelevanceCurve:
    """The curve of searches by words, or by sound. `words`: w₀ to w₃; `clips`: the sizes of the
    libraries that it was fitted on: smaller and larger ones count as these."""

    cosine: float
    standard: float
    size: float
    intercept: float
    words: tuple[float, float, float, float]
    clips: tuple[int, int]

    @classmethod
    def from_card(
        cls, card: Mapping[str, Any], kind: Literal["words", "sounds"]
    ) -> RelevanceCurve | None:
        """The curve that a model's card states; None where it states none."""
        stated = card.get("relevance", {}).get(kind)
        if stated is None:
            return None
        w0, w1, w2, w3 = map(float, stated["words"])
        smallest, largest = map(int, stated["clips"])
        return cls(
            float(stated["cosine"]),
            float(stated["standard"]),
            float(stated["size"]),
            float(stated["intercept"]),
            (w0, w1, w2, w3),
            (smallest, largest),
        )

    @classmethod
    def plain(cls, slope: float, intercept: float) -> RelevanceCurve:
        """logit = slope · cosine + intercept, whatever the library."""
        return cls(slope, 0.0, 0.0, intercept, (0.0, 0.0, 0.0, 0.0), (1, 1))

    def probabilities(self, cosines: Real, standard: Real, clips: Real, held: Real) -> Floats:
        """Probabilities [n] of hits of any searches, with these cosines, standard scores, sizes of
        libraries and shares of words [n]."""
        size = np.log(np.clip(clips, *self.clips))
        heard = self.cosine * cosines + self.standard * standard + self.size * size + self.intercept
        return sigmoid(np.asarray(self._logits(heard, held), np.float64))

    def of_query(
        self,
        cosines: Real,
        level: tuple[float, float] | None,
        clips: int,
        held: Real | None = None,
    ) -> Floats:
        """Probabilities [n] of hits of one search in a library of so many clips.

        `level`: mean and deviation of the query's cosines with sounds at large, None where the
        model does not state them; `held` [n]: shares of words, None for none. For speed: as
        `probabilities`, with few operations on arrays.
        """
        smallest, largest = self.clips
        slope = self.cosine
        constant = self.intercept + self.size * math.log(min(max(clips, smallest), largest))
        if level is not None:
            mean, deviation = level
            slope += self.standard / deviation
            constant -= self.standard * mean / deviation
        heard = slope * cosines + constant
        logits = heard if held is None else self._logits(heard, held)
        return sigmoid(np.asarray(logits, np.float64))

    def _logits(self, heard: Real, held: Real) -> Real:
        """Of what is heard, and of the words that are read."""
        w0, w1, w2, w3 = self.words
        return heard + held * (w0 + w1 * held + (w2 + w3 * held) * heard)
