"""Metrics of caption retrieval against sorting by hand, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.errors import InputError
from earmark.training.metrics.caption_retrieval import evaluate, ranks

_queries = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30).filter(
        lambda items: any(right for _, right in items)
    ),
    min_size=1,
    max_size=4,
)


def by_hand(items: list[tuple[int, bool]], absent: int) -> dict[str, float]:
    """One query's metrics, from a list that is sorted with wrong items first in ties."""
    order = sorted(items, key=lambda item: (-item[0], item[1]))
    hits = [right for _, right in order]
    result = {f"R@{k}": float(any(hits[:k])) for k in (1, 5, 10)}
    for k in (10, 16):
        precisions = [
            sum(hits[: place + 1]) / (place + 1)
            for place in range(min(k, len(hits)))
            if hits[place]
        ]
        result[f"mAP@{k}"] = sum(precisions) / min(k, sum(hits) + absent)
    return result


@settings(max_examples=100, deadline=None)
@given(queries=_queries, absent=st.integers(0, 3))
def test_as_sorted_by_hand(queries: list[list[tuple[int, bool]]], absent: int) -> None:
    found, counts = [], []
    for items in queries:
        scores = np.array([score for score, _ in items], dtype=np.float32)
        right = np.flatnonzero([right for _, right in items])
        found.append(ranks(scores, right))
        counts.append(len(right) + absent)
    expected = [by_hand(items, absent) for items in queries]
    result = evaluate(found, counts)
    assert set(result) == set(expected[0])
    for name, value in result.items():
        assert value == pytest.approx(np.mean([row[name] for row in expected]))
        assert 0 <= value <= 1


def test_a_perfect_ranking_scores_one_and_one_that_tells_nothing_apart_the_least() -> None:
    scores, right = np.eye(20), [np.array([query]) for query in range(20)]
    perfect = evaluate([ranks(*query) for query in zip(scores, right, strict=True)], [1] * 20)
    assert set(perfect.values()) == {1.0}
    level = evaluate([ranks(np.zeros(20), items) for items in right], [1] * 20)
    assert set(level.values()) == {0.0}


def test_one_right_item_gives_the_reciprocal_of_its_rank() -> None:
    """As in the challenge: a caption has one sound."""
    for place in range(1, 19):
        result = evaluate([ranks(-np.arange(18.0), np.array([place - 1]))], [1])
        assert result["mAP@10"] == pytest.approx(1 / place if place <= 10 else 0)
        assert result["mAP@16"] == pytest.approx(1 / place if place <= 16 else 0)
        assert result["R@5"] == (place <= 5)


def test_a_query_without_scores_is_a_miss() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert evaluate([ranks(np.ones(1), np.zeros(1, dtype=np.int64)), nothing], [1, 1])["R@1"] == 0.5


def test_refuses() -> None:
    one = np.zeros(1, dtype=np.int64)
    with pytest.raises(InputError, match=r"scores: expected finite numbers \[N\], got shape"):
        ranks(np.array([1.0, np.nan]), one)
    for found, counts in (([], []), ([one], []), ([one], [0])):
        with pytest.raises(InputError, match="expected queries, each with at least one right item"):
            evaluate(found, counts)
