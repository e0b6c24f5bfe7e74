"""Weighted reciprocal rank fusion of two rankings (Cormack, Clarke and Büttcher 2009).

An item's score is 1 / (60 + rank) in the vector ranking plus share · WORDS / (60 + rank) in the
word ranking, ranks from 1, divided by what the first of both would have: 1.0 is first in both and
holds all words. `share` is that of the words that the item holds. What people wrote is surer than
what a model hears, hence WORDS; measured by tests/benchmarks/bench_fusion.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
    vector_ranking: Sequence[int] | npt.NDArray[np.int64],
    word_ranking: Sequence[int] | npt.NDArray[np.int64],
    shares: Sequence[float] | npt.NDArray[np.float32],
    most: int | None = None,
) -> list[Fused]:
    """Both rankings as one, best first; of equals, the one that words found comes first.

    `shares`: in (0, 1], of the items of the word ranking. `most`: only the best of them.
    """
    near, holding = np.asarray(vector_ranking, np.int64), np.asarray(word_ranking, np.int64)
    items, places = np.unique(np.concatenate([holding, near]), return_inverse=True)
    by_words, by_vector = places[: len(holding)], places[len(holding) :]
    absent = len(places) + 1  # no rank is as high
    vector_rank, word_rank = np.full(len(items), absent), np.full(len(items), absent)
    vector_rank[by_vector] = np.arange(1, len(near) + 1)
    word_rank[by_words] = np.arange(1, len(holding) + 1)
    share = np.zeros(len(items))
    share[by_words] = shares
    best = (bool(len(near)) + WORDS * bool(len(holding))) / (CONSTANT + 1)
    score = (vector_rank < absent) / (CONSTANT + vector_rank)
    score = (score + WORDS * share / (CONSTANT + word_rank)) / (best or 1.0)
    # Equal but for the last bits is equal.
    order = np.lexsort((vector_rank, word_rank, -np.round(score, 12)))[:most]
    columns = (each[order].tolist() for each in (items, score, vector_rank, word_rank, share))
    return [
        Fused(
            item,
            total,
            near_rank if near_rank < absent else None,
            own_rank if own_rank < absent else None,
            own,
        )
        for item, total, near_rank, own_rank, own in zip(*columns, strict=True)
    ]
