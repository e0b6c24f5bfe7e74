"""Reciprocal rank fusion against the formula, written out slowly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.index.search.fusion import FusedHit, fuse

_RANKING = st.lists(st.integers(0, 30), unique=True, max_size=20)


def shares(words: list[int]) -> list[float]:
    """Falling from 1."""
    return [1 / (1 + place // 3) for place in range(len(words))]


def slow_scores(vectors: list[int], words: list[int]) -> dict[int, float]:
    """Σ weight / (60 + rank) over the rankings that hold an item, 1 being the best possible."""
    scores = {}
    for item in {*vectors, *words}:
        total = best = 0.0
        for ranking, weights in (
            (vectors, [1.0] * 20),
            (words, [8 * each for each in shares(words)]),
        ):
            for rank, (other, weight) in enumerate(zip(ranking, weights, strict=False), start=1):
                if other == item:
                    total += weight / (60 + rank)
            if ranking:
                best += weights[0] / 61
        scores[item] = total / best
    return scores


@given(_RANKING, _RANKING)
def test_scores_are_the_formula(vectors: list[int], words: list[int]) -> None:
    fused = fuse(vectors, words, shares(words))
    slow = slow_scores(vectors, words)
    assert {hit.row: pytest.approx(hit.score) for hit in fused} == slow
    assert len(fused) == len(slow)
    assert all(0 < hit.score <= 1 + 1e-12 for hit in fused)
    scores = [hit.score for hit in fused]
    assert scores == sorted(scores, reverse=True)
    for hit in fused:
        assert hit.vector_rank == (vectors.index(hit.row) + 1 if hit.row in vectors else None)
        assert hit.word_rank == (words.index(hit.row) + 1 if hit.row in words else None)


@given(_RANKING, _RANKING, st.data())
def test_rising_in_one_ranking_never_lowers_a_score(
    vectors: list[int], words: list[int], data: st.DataObject
) -> None:
    if not words:
        return
    place = data.draw(st.integers(0, len(words) - 1))
    higher = data.draw(st.integers(0, place))
    moved = words.copy()
    moved.insert(higher, moved.pop(place))
    before = {hit.row: hit.score for hit in fuse(vectors, words, shares(words))}
    after = {hit.row: hit.score for hit in fuse(vectors, moved, shares(words))}
    assert after[words[place]] >= before[words[place]]


@given(_RANKING)
def test_one_ranking_alone_keeps_its_order(ranking: list[int]) -> None:
    assert [hit.row for hit in fuse(ranking, [], [])] == ranking
    assert [hit.row for hit in fuse([], ranking, shares(ranking))] == ranking


def test_what_words_found_comes_first_by_how_much_of_them_it_holds() -> None:
    assert fuse([5, 1], [5, 2], [1.0, 1.0]) == [
        FusedHit(5, pytest.approx(1.0), 1, 1, 1.0),
        FusedHit(2, pytest.approx(8 / 9 * 61 / 62), None, 2, 1.0),
        FusedHit(1, pytest.approx(1 / 9 * 61 / 62), 2, None, 0.0),
    ]
    # One of eight words is worth as much as a sound that is as near.
    assert [hit.row for hit in fuse([7], [8], [1 / 8])] == [8, 7]
    assert [hit.row for hit in fuse([7], [8], [1 / 9])] == [7, 8]
    assert fuse([], [], []) == []
    assert fuse([3], [], [])[0].score == pytest.approx(1.0)
