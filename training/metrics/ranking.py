"""Retrieval metrics: recall@k, mean average precision at 10, median rank.

Conventions: Q queries, N items; `scores` [Q, N], higher is better; `relevant` [Q, N], boolean;
`hits` [Q, N], relevance in the order of the ranking. Ties are broken by position. A query without a
relevant item is an error, not skipped. Metrics are in [0, 1], except the median rank, which starts
at 1. A perfect ranking scores 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.model.core.errors import InputError

Scores = npt.NDArray[np.floating]
Relevant = npt.NDArray[np.bool_]


def validate(scores: Scores, relevant: Relevant) -> None:
    """Raise InputError unless the shapes agree and each query has a relevant item."""
    if scores.ndim != 2 or scores.shape != relevant.shape or not scores.size:
        raise InputError(
            f"scores, relevant: expected one shape [Q, N], got {scores.shape} and {relevant.shape}"
        )
    if not np.isfinite(scores).all():
        raise InputError("scores: expected finite numbers")
    if not relevant.any(axis=1).all():
        raise InputError("relevant: expected at least one relevant item for every query")


def _hits(scores: Scores, relevant: Relevant) -> Relevant:
    """Relevance in the order of the ranking."""
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(relevant, order, axis=1)


def average_precision(hits: Relevant, k: int = 10) -> npt.NDArray[np.float64]:
    """AP@k of each query [Q]: the sum of precision at each hit, over min(k, relevant items)."""
    top = hits[:, :k]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    possible = np.minimum(hits.sum(axis=1), k)
    return np.asarray((precision * top).sum(axis=1) / possible, dtype=np.float64)


def map_at(scores: Scores, relevant: Relevant, k: int = 10) -> float:
    """mAP@k alone. Sorts only the first k of each ranking, for many queries over many items."""
    validate(scores, relevant)
    total = 0.0
    for row, relevant_items in zip(scores, relevant, strict=True):
        kth_score = np.partition(row, -k)[-k] if len(row) > k else row.min()
        candidates = np.flatnonzero(row >= kth_score)
        order = np.argsort(-row[candidates], kind="stable")[:k]
        top = relevant_items[candidates[order]]
        precision = np.cumsum(top) / np.arange(1, len(top) + 1)
        total += float((precision * top).sum()) / min(k, int(relevant_items.sum()))
    return total / len(scores)


def recall(hits: Relevant, k: int) -> npt.NDArray[np.float64]:
    """Recall@k of each query [Q]: the share of its relevant items among the first k."""
    return np.asarray(hits[:, :k].sum(axis=1) / hits.sum(axis=1), dtype=np.float64)


def first_rank(hits: Relevant) -> npt.NDArray[np.int64]:
    """Rank of each query's first relevant item, from 1, [Q]."""
    return np.asarray(hits.argmax(axis=1) + 1, dtype=np.int64)


def evaluate(scores: Scores, relevant: Relevant) -> dict[str, float]:
    """All metrics by name; means over the queries, and the median rank."""
    validate(scores, relevant)
    hits = _hits(scores, relevant)
    return {
        "mAP@10": float(average_precision(hits, 10).mean()),
        "recall@1": float(recall(hits, 1).mean()),
        "recall@5": float(recall(hits, 5).mean()),
        "recall@10": float(recall(hits, 10).mean()),
        "median_rank": float(np.median(first_rank(hits))),
    }


def chance(relevant: Relevant, repeats: int = 100, seed: int = 0) -> dict[str, float]:
    """Metrics of random rankings on the same queries, the mean of `repeats` draws."""
    generator = np.random.default_rng(seed)
    runs = [evaluate(generator.random(relevant.shape), relevant) for _ in range(repeats)]
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
