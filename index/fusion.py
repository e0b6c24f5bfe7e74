"""Reciprocal rank fusion of two rankings (Cormack, Clarke and Büttcher 2009).

An item's score is the sum of 1 / (60 + rank) over the rankings that hold it, ranks from 1,
here divided by what the first of both rankings would have: 1.0 is first in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONSTANT = 60


@dataclass(frozen=True)
class Fused:
    """An item with its score and its rank in each ranking, None where it is absent."""

    item: int
    score: float
    vector_rank: int | None
    word_rank: int | None


def fuse(vector_ranking: Sequence[int], word_ranking: Sequence[int]) -> list[Fused]:
    """Both rankings as one, best first; of equals, the one that words found comes first."""
    vector_ranks = {item: rank for rank, item in enumerate(vector_ranking, start=1)}
    word_ranks = {item: rank for rank, item in enumerate(word_ranking, start=1)}
    best = 2 / (CONSTANT + 1) if vector_ranking and word_ranking else 1 / (CONSTANT + 1)
    fused = []
    for item in dict.fromkeys([*word_ranking, *vector_ranking]):
        ranks = vector_ranks.get(item), word_ranks.get(item)
        total = sum(1 / (CONSTANT + rank) for rank in ranks if rank is not None)
        fused.append(Fused(item, total / best, *ranks))
    return sorted(fused, key=lambda each: (-each.score, each.word_rank is None))
