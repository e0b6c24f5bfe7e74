"""Retrieval metrics against slow versions, perfect rankings and chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.core.errors import InputError
from earmark.training.metrics.ranking import (
    average_precision,
    chance,
    evaluate,
    first_rank,
    map_at,
    recall,
    validate,
)

NAMES = {"mAP@10", "recall@1", "recall@5", "recall@10", "median_rank"}


def slow(scores: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """Query by query, item by item, from the definitions."""
    precisions, ranks = [], []
    recalls: dict[int, list[float]] = {1: [], 5: [], 10: []}
    for row, relevant_items in zip(scores.tolist(), relevant.tolist(), strict=True):
        ranking = sorted(range(len(row)), key=lambda item: (-row[item], item))
        places = [rank for rank, item in enumerate(ranking, start=1) if relevant_items[item]]
        metrics = sum(
            sum(other <= place for other in places) / place for place in places if place <= 10
        )
        precisions.append(metrics / min(10, len(places)))
        ranks.append(places[0])
        for k, values in recalls.items():
            values.append(sum(place <= k for place in places) / len(places))
    return {
        "mAP@10": float(np.mean(precisions)),
        **{f"recall@{k}": float(np.mean(values)) for k, values in recalls.items()},
        "median_rank": float(np.median(ranks)),
    }


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    queries, items = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    ties = draw(st.sampled_from([2, 5, 1000]))
    scores = generator.integers(-ties, ties, (queries, items)).astype(np.float64)
    relevant = generator.random((queries, items)) < draw(st.floats(0.05, 0.9))
    relevant[np.arange(queries), generator.integers(0, items, queries)] = True
    return scores, relevant


@settings(max_examples=150, deadline=None)
@given(problems())
def test_metrics_are_the_slow_ones(problem: tuple[np.ndarray, np.ndarray]) -> None:
    metrics = evaluate(*problem)
    assert metrics == pytest.approx(slow(*problem), rel=1e-12)
    assert set(metrics) == NAMES


@settings(max_examples=50, deadline=None)
@given(problems())
def test_a_perfect_ranking_scores_one(problem: tuple[np.ndarray, np.ndarray]) -> None:
    _, relevant = problem
    metrics = evaluate(relevant.astype(float), relevant)
    assert metrics["mAP@10"] == metrics["median_rank"] == 1
    if relevant.sum(axis=1).max() <= 5:
        assert metrics["recall@5"] == 1
    assert evaluate(-relevant.astype(float), relevant)["mAP@10"] <= 1


def test_figures_by_hand() -> None:
    """Relevant at ranks 1 and 3 of 4: AP = (1 + 2/3) / 2."""
    scores = np.array([[0.9, 0.5, 0.7, 0.1]])
    relevant = np.array([[True, True, False, False]])
    metrics = evaluate(scores, relevant)
    assert metrics["mAP@10"] == pytest.approx(5 / 6)
    assert (metrics["recall@1"], metrics["recall@5"], metrics["median_rank"]) == (0.5, 1.0, 1.0)


def test_ties_go_by_position() -> None:
    scores = np.zeros((2, 3))
    relevant = np.array([[True, False, False], [False, False, True]])
    hits = relevant
    assert first_rank(hits).tolist() == [1, 3]
    assert evaluate(scores, relevant)["median_rank"] == 2


def test_more_relevant_items_than_k() -> None:
    hits = np.ones((1, 30), dtype=bool)
    assert average_precision(hits, 10).tolist() == [1.0]
    assert recall(hits, 10).tolist() == [pytest.approx(1 / 3)]


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.zeros((2, 3)), np.ones((3, 2), bool), r"expected one shape \[Q, N\], got"),
        (np.zeros(3), np.ones(3, bool), r"expected one shape \[Q, N\], got \(3,\)"),
        (np.zeros((0, 3)), np.ones((0, 3), bool), r"expected one shape"),
        (np.array([[np.nan, 1]]), np.ones((1, 2), bool), "scores: expected finite numbers"),
        (np.zeros((2, 2)), np.eye(2, dtype=bool) & [True, False], "at least one relevant item"),
    ],
)
def test_refuses(scores: np.ndarray, relevant: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate(scores, relevant)
    with pytest.raises(InputError, match=message):
        evaluate(scores, relevant)


def test_chance_is_what_luck_gives() -> None:
    relevant = np.zeros((20, 50), dtype=bool)
    relevant[np.arange(20), np.arange(20)] = True
    expected_metrics = chance(relevant, repeats=100)
    assert expected_metrics["recall@1"] == pytest.approx(1 / 50, abs=0.01)
    assert expected_metrics["recall@10"] == pytest.approx(10 / 50, abs=0.03)
    assert expected_metrics["median_rank"] == pytest.approx(25, abs=2)
    expected = sum(1 / rank for rank in range(1, 11)) / 50
    assert expected_metrics["mAP@10"] == pytest.approx(expected, abs=0.01)
    assert chance(relevant, repeats=3) == chance(relevant, repeats=3)
    assert chance(relevant, repeats=3) != chance(relevant, repeats=3, seed=1)


def test_chance_of_a_query_that_wants_all_is_one() -> None:
    assert chance(np.ones((2, 4), bool), repeats=3)["mAP@10"] == 1


@given(st.integers(1, 40), st.integers(1, 15), st.integers(0, 1000), st.booleans())
def test_map_alone_equals_the_whole(items: int, queries: int, seed: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.standard_normal((queries, items))
    if ties:
        scores = np.round(scores)
    relevant = generator.random((queries, items)) < 0.3
    relevant[np.arange(queries), generator.integers(0, items, queries)] = True
    whole = evaluate(scores, relevant)["mAP@10"]
    assert map_at(scores, relevant) == pytest.approx(whole)
