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
from earmark.index.search.fusion import FusedHit
from earmark.index.types import Candidates, SearchRequest
from earmark.model.background import Background
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.relevance import MAYBE, SURE, RelevanceCurve

DIGITS = 4  # of a probability
HOLDS = 0.5  # of the query's words, by weight: a clip with so many holds the words


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


class JudgedSearch:
    """What a judge says of the hits of one search.

    `candidates`: of the smallest pool; `clips`: in the library.
    """

    def __init__(
        self, judge: Judge, request: SearchRequest, candidates: Candidates, clips: int
    ) -> None:
        self._judge, self._request, self._clips = judge, request, clips
        self._known = known_share(request, candidates.weights) if len(candidates.matching) else 0.0
        self._by_row = self._judge_pool(candidates)

    @property
    def sure(self) -> int | None:
        """How many candidates are sure; None where the judge says nothing."""
        if self._by_row is None:
            return None
        return sum(probability >= SURE for probability in self._by_row.values())

    def probabilities(
        self, hits: Sequence[FusedHit], cosines: Mapping[int, float]
    ) -> list[float] | list[None]:
        """Of each hit, with cosines by row; None where the judge says nothing."""
        by_row = self._by_row
        if by_row is None:
            return [None] * len(hits)
        if all(hit.row in by_row for hit in hits):
            return [by_row[hit.row] for hit in hits]
        # Where the store gives no cosine: not among the nearest, so no nearer than the last.
        last = min(cosines.values(), default=0.0)
        found = self._judge.probabilities(
            self._request,
            [cosines.get(hit.row, last) for hit in hits],
            [self._known * hit.share for hit in hits],
            self._clips,
        )
        assert found is not None, "the judge has judged the candidates"
        return found

    def select(
        self, ranking: Sequence[FusedHit], cosines: Mapping[int, float]
    ) -> Sequence[FusedHit]:
        """The ranking without what is less probable than the request wants. In another order than
        by relevance, without what is neither maybe right nor holds the query's words."""
        least, sort = self._request.min_probability, self._request.sort
        if self._by_row is None or (sort == "relevance" and not least):
            return ranking
        probabilities = self.probabilities(ranking, cosines)
        return [
            hit
            for hit, probability in zip(ranking, probabilities, strict=True)
            if probability is not None
            and probability >= least
            and (sort == "relevance" or probability >= MAYBE or self._known * hit.share >= HOLDS)
        ]

    def _judge_pool(self, candidates: Candidates) -> dict[int, float] | None:
        """The probability of each candidate whose cosine is known, by row."""
        cosines = dict(zip(candidates.nearest.tolist(), candidates.cosines.tolist(), strict=True))
        matching = candidates.matching.tolist()
        if candidates.matching_cosines is not None:
            cosines |= zip(matching, candidates.matching_cosines.tolist(), strict=True)
        shares = dict(zip(matching, candidates.shares.tolist(), strict=True))
        held = [self._known * shares.get(row, 0.0) for row in cosines]
        found = self._judge.probabilities(self._request, list(cosines.values()), held, self._clips)
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
