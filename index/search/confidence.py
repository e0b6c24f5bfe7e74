"""How probable it is that a hit is right, by the curves that the model's card states.

A probability depends on the cosine, on how the query stands to sounds at large, on the size of the
library, and on the share of the query's words that a clip holds (`model.relevance`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.index.lexical.stemming import is_unspaced
from earmark.index.lexical.terms import is_gram
from earmark.index.types import Candidates, SearchRequest
from earmark.model.background import Background
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.relevance import RelevanceCurve

DIGITS = 4  # of a probability
HOLDS = 0.5  # of the query's words, by weight, that a clip holds which "holds the words"


@dataclass(frozen=True)
class Judge:
    """Says how probable hits are. Without curves it says nothing."""

    words: RelevanceCurve | None = None
    sounds: RelevanceCurve | None = None
    background: Background | None = None

    @classmethod
    def of(cls, embedder: Embedder) -> Judge:
        """By the card of a model."""
        curves = (RelevanceCurve.from_card(embedder.card, kind) for kind in ("words", "sounds"))
        return cls(*curves, embedder.background)

    def probabilities(
        self, request: SearchRequest, cosines: Sequence[float], held: Sequence[float], clips: int
    ) -> list[float] | None:
        """Of hits of a search in a library of so many clips, to four digits.

        `held`: the share of all of the query's words that each holds (`held_shares`). None where
        the model states no curve, or the query has no vector, or only unwanted words.
        """
        by_words = request.understood is not None
        curve = self.words if by_words else self.sounds
        if curve is None or request.vector is None or (by_words and not request.query.text):
            return None
        near = np.array(cosines)
        standard: Array | float = 0.0
        level = request.level or self.level(request.vector)
        if level is not None:
            mean, deviation = level
            standard = (near - mean) / deviation
        found = curve.probabilities(near, standard, clips, np.array(held))
        return [round(probability, DIGITS) for probability in found.tolist()]

    def level(self, vector: Array) -> tuple[float, float] | None:
        """Mean and deviation of the cosines of a query [D] with sounds at large; None where the
        model does not state them."""
        if self.background is None:
            return None
        means, deviations = self.background.moments(vector[None])
        return float(means[0]), float(deviations[0])


def judge_candidates(
    judge: Judge, request: SearchRequest, candidates: Candidates, clips: int
) -> dict[int, float] | None:
    """The probability of each candidate, by row."""
    cosines = dict(zip(candidates.nearest.tolist(), candidates.cosines.tolist(), strict=True))
    matching = candidates.matching.tolist()
    if candidates.matching_cosines is not None:
        cosines |= zip(matching, candidates.matching_cosines.tolist(), strict=True)
    elif len(candidates.cosines):
        # Not among the nearest: at most as near as the last of them.
        cosines = dict.fromkeys(matching, float(candidates.cosines[-1])) | cosines
    held = dict(zip(matching, candidates.shares.tolist(), strict=True))
    known = known_share(request, candidates.weights) if held else 0.0
    found = judge.probabilities(
        request, list(cosines.values()), [known * held.get(row, 0.0) for row in cosines], clips
    )
    return None if found is None else dict(zip(cosines, found, strict=True))


def known_share(request: SearchRequest, weights: Mapping[str, float]) -> float:
    """Of the query's words those that any clip holds, or for which a related word stands. (A clip's
    share is one of these words.) `weights`: of the terms that were matched."""
    words = [term for term in request.stems if not is_gram(term)]
    known = sum(
        term in weights
        or is_unspaced(request.stems[term])  # its parts count by themselves
        or any(other.stem in weights for other in request.related.get(term, ()))
        for term in words
    )
    return known / len(words) if words else 1.0
