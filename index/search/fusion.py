"""Weighted reciprocal rank fusion of two rankings (Cormack, Clarke and Büttcher 2009).

A clip's score is 1 / (60 + rank) in the vector ranking plus share · WORD_WEIGHT / (60 + rank) in
the word ranking, with ranks from 1, divided by the score of a clip that is first in both and holds
all words. `share`: of the query's words that the clip holds. What people wrote is surer than what
the model hears, hence WORD_WEIGHT; tests/benchmarks/bench_fusion.py measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RANK_CONSTANT = 60
WORD_WEIGHT = 8.0


class FusedHit(NamedTuple):
    """A clip's row in the fused ranking, its score, and its rank in each ranking (None: absent).

    `share`: of the query's words, 0 where the word ranking lacks the clip. `duplicates`: rows of
    near-duplicates that are listed with it.
    """

    row: int
    score: float
    vector_rank: int | None
    word_rank: int | None
    share: float
    duplicates: tuple[int, ...] = ()


def fuse(
    vector_ranking: Sequence[int] | npt.NDArray[np.int64],
    word_ranking: Sequence[int] | npt.NDArray[np.int64],
    shares: Sequence[float] | npt.NDArray[np.float32],
    limit: int | None = None,
) -> list[FusedHit]:
    """Both rankings as one, best first; of equal scores, that of the better word rank comes first.

    `shares`: of the clips in the word ranking, in (0, 1]. `limit`: return only so many.
    """
    nearest, matching = np.asarray(vector_ranking, np.int64), np.asarray(word_ranking, np.int64)
    rows, places = np.unique(np.concatenate([matching, nearest]), return_inverse=True)
    by_words, by_vector = places[: len(matching)], places[len(matching) :]
    absent = len(places) + 1  # no rank is as high
    vector_rank, word_rank = np.full(len(rows), absent), np.full(len(rows), absent)
    vector_rank[by_vector] = np.arange(1, len(nearest) + 1)
    word_rank[by_words] = np.arange(1, len(matching) + 1)
    share = np.zeros(len(rows))
    share[by_words] = shares
    best = (bool(len(nearest)) + WORD_WEIGHT * bool(len(matching))) / (RANK_CONSTANT + 1)
    score = (vector_rank < absent) / (RANK_CONSTANT + vector_rank)
    score = (score + WORD_WEIGHT * share / (RANK_CONSTANT + word_rank)) / (best or 1.0)
    # Scores that differ only in their last bits count as equal.
    order = np.lexsort((vector_rank, word_rank, -np.round(score, 12)))[:limit]
    columns = (column[order].tolist() for column in (rows, score, vector_rank, word_rank, share))
    return [
        FusedHit(
            row,
            fused_score,
            rank if rank < absent else None,
            other_rank if other_rank < absent else None,
            held,
        )
        for row, fused_score, rank, other_rank, held in zip(*columns, strict=True)
    ]
