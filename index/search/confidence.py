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
        card = embedder.card
        return cls(
            RelevanceCurve.from_card(card, "words"),
            RelevanceCurve.from_card(card, "sounds"),
            embedder.background,
        )

    def curve(self, request: SearchRequest) -> RelevanceCurve | None:
        """The curve of a request; None where the model states none, or the query has no vector, or
        only unwanted words."""
        if request.vector is None:
            return None
        if request.understood is None:
            return self.sounds
        return self.words if request.query.text else None

    def level(self, vector: Array) -> tuple[float, float] | None:
        """Mean and deviation of the cosines of a query [D] with sounds at large; None where the
        model does not state them."""
        if self.background is None:
            return None
        means, deviations = self.background.moments(vector[None])
        return float(means[0]), float(deviations[0])


class JudgedSearch:
    """What a judge says of the hits of one search.

    `candidates`: of the smallest pool; `clips`: in the library, removed ones too.
    """

    def __init__(
        self, judge: Judge, request: SearchRequest, candidates: Candidates, clips: int
    ) -> None:
        self._request, self._clips = request, clips
        self._curve = judge.curve(request)
        self._by_row: dict[int, float] = {}  # of candidates whose cosine is known
        if self._curve is None or request.vector is None:
            return
        self._level = request.level or judge.level(request.vector)
        nearest, matching = candidates.nearest.tolist(), candidates.matching.tolist()
        found = self._curve.of_query(candidates.cosines, self._level, clips)
        self._by_row = dict(zip(nearest, found.tolist(), strict=True))
        self._known = known_share(request, candidates.weights) if matching else 0.0
        if matching and candidates.matching_cosines is not None:
            held = self._known * candidates.shares
            found = self._curve.of_query(candidates.matching_cosines, self._level, clips, held)
            self._by_row |= zip(matching, found.tolist(), strict=True)

    @property
    def sure(self) -> int | None:
        """How many candidates are sure; None where the judge says nothing."""
        if self._curve is None:
            return None
        return len([1 for probability in self._by_row.values() if probability >= SURE])

    def probabilities(
        self, hits: Sequence[FusedHit], cosines: Mapping[int, float]
    ) -> list[float] | list[None]:
        """Of each hit, with cosines by row; None where the judge says nothing."""
        curve, by_row = self._curve, self._by_row
        if curve is None:
            return [None] * len(hits)
        if any(hit.row not in by_row for hit in hits):
            near = np.array([cosines[hit.row] for hit in hits])  # of a larger pool
            held = self._known * np.array([hit.share for hit in hits])
            found: list[float] = curve.of_query(near, self._level, self._clips, held).tolist()
            return found
        return [by_row[hit.row] for hit in hits]

    def select(
        self, ranking: Sequence[FusedHit], cosines: Mapping[int, float]
    ) -> Sequence[FusedHit]:
        """The ranking without what is less probable than the request wants. In another order than
        by relevance, without what is neither maybe right nor holds the query's words."""
        least, sort = self._request.min_probability, self._request.sort
        if self._curve is None or (sort == "relevance" and not least):
            return ranking
        probabilities = self.probabilities(ranking, cosines)
        return [
            hit
            for hit, probability in zip(ranking, probabilities, strict=True)
            if probability is not None
            and probability >= least
            and (sort == "relevance" or probability >= MAYBE or self._known * hit.share >= HOLDS)
        ]


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
