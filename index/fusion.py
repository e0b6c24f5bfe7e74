"""Weighted reciprocal rank fusion of two rankings (Cormack, Clarke and Büttcher 2009).

An item's score is 1 / (60 + rank) in the vector ranking plus share · WORDS / (60 + rank) in the
word ranking, ranks from 1, divided by what the first of both would have: 1.0 is first in both and
holds all words. `share` is that of the words that the item holds. What people wrote is surer than
what a model hears, hence WORDS; measured by tests/benchmarks/bench_fusion.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONSTANT = 60
WORDS = 8.0


@dataclass(frozen=True)
class Fused:
    """An item with its score and its rank in each ranking, None where it is absent.

    `share`: that of the word ranking, else 0.
    """

    item: int
    score: float
    vector_rank: int | None
    word_rank: int | None
    share: float


def fuse(
    vector_ranking: Sequence[int], word_ranking: Sequence[int], shares: Sequence[float]
) -> list[Fused]:
    """Both rankings as one, best first; of equals, the one that words found comes first.

    `shares`: in (0, 1], of the items of the word ranking.
    """
    by_vector = {item: rank for rank, item in enumerate(vector_ranking, start=1)}
    by_words = {
        item: (rank, share)
        for rank, (item, share) in enumerate(zip(word_ranking, shares, strict=True), start=1)
    }
    best = (bool(by_vector) + WORDS * bool(by_words)) / (CONSTANT + 1)
    fused = []
    for item in dict.fromkeys([*word_ranking, *vector_ranking]):
        rank, (word_rank, share) = by_vector.get(item), by_words.get(item, (None, 0.0))
        total = 0.0 if rank is None else 1 / (CONSTANT + rank)
        if word_rank is not None:
            total += WORDS * share / (CONSTANT + word_rank)
        fused.append(Fused(item, total / best, rank, word_rank, share))
    return sorted(fused, key=lambda each: (-each.score, each.word_rank is None))
