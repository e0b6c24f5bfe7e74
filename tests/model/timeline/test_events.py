"""Curves → events: a filter, two thresholds, gaps and the least length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.model.timeline.events import EventRules, SoundEvent, find_events

PLAIN = EventRules(median=1, low=0.5, gap=0, least=1)
CURVES = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.6, 0.9]), min_size=1, max_size=60)


def events(
    curve: list[float], rules: EventRules = PLAIN, duration: float = 100.0
) -> list[SoundEvent]:
    strengths = np.array(curve, np.float32)
    return find_events(strengths, strengths, 0.6, 0.5, duration, rules)


def spans(found: list[SoundEvent]) -> list[tuple[float, float]]:
    return [(event.start, event.end) for event in found]


def slow(curve: list[float], rules: EventRules, threshold: float) -> list[tuple[int, int]]:
    """(first, end) steps of the events of an unfiltered curve, step by step."""
    runs: list[list[int]] = []
    for number, value in enumerate(np.array(curve, np.float32)):
        if value < rules.low * threshold:
            continue
        if runs and number - runs[-1][1] <= rules.gap:
            runs[-1][1] = number + 1
        else:
            runs.append([number, number + 1])
    return [
        (first, end)
        for first, end in runs
        if np.float32(max(curve[first:end])) >= threshold and end - first >= rules.least
    ]


def test_a_plain_event() -> None:
    [event] = events([0, 0, 0.7, 0.9, 0.7, 0, 0])
    assert (event.start, event.end) == (1.0, 2.5)
    assert event.score == pytest.approx(0.9)


def test_events_are_scored_by_their_probabilities() -> None:
    strengths, scores = np.array([0, 1, 1, 0.0]), np.array([0.9, 0.1, 0.2, 0.9])
    [event] = find_events(strengths, scores, 1.0, 0.5, 2.0, PLAIN)
    assert event == SoundEvent(0.5, 1.5, 0.2)


def test_what_wavers_is_one_event_and_what_is_faint_none() -> None:
    assert spans(events([0, 0.7, 0.4, 0.9, 0, 0])) == [(0.5, 2.0)]
    assert events([0, 0.4, 0.5, 0.4, 0]) == []


def test_gaps_are_closed_and_short_events_dropped() -> None:
    curve = [0.9, 0.0, 0.9, 0.0, 0.0, 0.9, 0.0]
    assert len(events(curve)) == 3
    assert spans(events(curve, EventRules(1, 0.5, 1, 1))) == [(0.0, 1.5), (2.5, 3.0)]
    assert spans(events(curve, EventRules(1, 0.5, 1, 2))) == [(0.0, 1.5)]


def test_the_filter_removes_single_steps() -> None:
    rules = EventRules(3, 0.5, 0, 1)
    assert events([0, 0, 0.9, 0, 0], rules) == []
    assert spans(events([0.9, 0.9, 0, 0.9, 0.9], rules)) == [(0.0, 100.0)]


def test_the_last_step_lasts_to_the_end() -> None:
    assert spans(events([0, 0, 0.9], duration=1.7)) == [(1.0, 1.7)]
    assert spans(events([0, 0.9, 0], duration=0.8)) == [(0.5, 0.8)]
    assert events([0, 0, 0.9, 0.9], duration=1.0) == []  # only silence after the sound


@given(
    CURVES,
    st.floats(0.1, 1.0),
    st.integers(0, 4),
    st.integers(1, 4),
    st.sampled_from([1, 3, 5]),
    st.floats(0.1, 40.0),
)
def test_events_are_in_order_apart_and_within_the_sound(
    curve: list[float], low: float, gap: int, least: int, median: int, duration: float
) -> None:
    found = events(curve, EventRules(median, low, gap, least), duration)
    edges = [edge for event in found for edge in (event.start, event.end)]
    assert edges == sorted(edges)
    assert all(0 <= event.start < event.end <= duration for event in found)
    assert all(event.score >= 0.6 - 1e-6 for event in found)


@given(CURVES, st.floats(0.1, 1.0), st.integers(0, 4), st.integers(1, 4))
def test_events_are_those_of_a_slow_loop(
    curve: list[float], low: float, gap: int, least: int
) -> None:
    rules = EventRules(1, low, gap, least)
    expected = [(0.5 * first, 0.5 * end) for first, end in slow([*curve, 0.0], rules, 0.6)]
    assert spans(events([*curve, 0.0], rules)) == expected
