"""Metrics of retrieval by captions, as DCASE's task of language-based audio retrieval states them.

Conventions: a query's `scores` [N] of N items, higher is better; its right items by their indices.
Ranks start at 1. Ties are pessimistic: a wrong item goes before a right one of the same score, so
that a model which tells nothing apart does not score by its order. R@k is the share of queries that
have a right item among the first k. AP@k is the sum of the precision at each right item among the
first k, over min(k, right items); mAP@k its mean. All are in [0, 1]; a perfect ranking scores 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earmark.model.core.errors import InputError

Integers = npt.NDArray[np.int64]

RECALL_AT = (1, 5, 10)
PRECISION_AT = (10, 16)


def ranks(scores: npt.NDArray[np.floating], right: Integers) -> Integers:
    """The ranks [R] of a query's right items, the best first.

    `scores` [N], `right` [R]: indices of the right items. Raises InputError for scores that are not
    finite.
    """
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise InputError(f"scores: expected finite numbers [N], got shape {scores.shape}")
    found = np.sort(scores[right])[::-1]
    in_all = (scores[None, :] >= found[:, None]).sum(axis=1)
    in_right = (found[None, :] >= found[:, None]).sum(axis=1)
    return np.asarray(in_all - in_right + np.arange(1, len(found) + 1), dtype=np.int64)


def evaluate(ranks_of: Sequence[Integers], right_of: Sequence[int]) -> dict[str, float]:
    """All metrics by name, means over the queries.

    `ranks_of`: of each query, the ranks of its right items (`ranks`); `right_of`: their numbers,
    larger where some were not among the items at all, which makes them misses. Raises InputError
    unless there are queries, each with a right item.
    """
    if not len(ranks_of) or len(ranks_of) != len(right_of) or min(right_of) < 1:
        raise InputError("ranks_of, right_of: expected queries, each with at least one right item")
    result = {
        f"R@{k}": sum(bool((found <= k).any()) for found in ranks_of) / len(ranks_of)
        for k in RECALL_AT
    }
    for k in PRECISION_AT:
        total = 0.0
        for found, right in zip(ranks_of, right_of, strict=True):
            top = found[found <= k]
            total += float((np.arange(1, len(top) + 1) / top).sum()) / min(k, right)
        result[f"mAP@{k}"] = total / len(ranks_of)
    return result
