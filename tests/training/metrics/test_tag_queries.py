"""Which tags are queries."""

from __future__ import annotations

from earmark.training.metrics.tag_queries import query_tags


def test_query_tags() -> None:
    tag_sets = [["all", "five"]] * 5 + [["all", "four"]] * 4
    assert query_tags(tag_sets) == ["five"]
    assert query_tags(tag_sets, min_clips=4) == ["five", "four"]
    assert query_tags([["b", "b"], ["a", "b"], ["a"]], min_clips=2) == ["a", "b"]
