"""A tag's strength over time → events: a median filter, two thresholds, gaps, the least length.

An event is a stretch over the low threshold that somewhere reaches the high one, so that a sound
that wavers is one event and a faint one none. Axes: S = steps of equal length. Times in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from earmark.model.core.arrays import Array


@dataclass(frozen=True)
class SoundEvent:
    """A stretch of a sound in which a tag is heard; `score`: its greatest probability there."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class EventRules:
    """How events are read from a curve.

    `median`: steps of the filter, odd; `low`: the share of the threshold over which an event goes
    on; `gap`: steps, so few under it do not end an event; `least`: steps of the shortest event.
    """

    median: int = 3
    low: float = 0.5
    gap: int = 1
    least: int = 1


def find_events(
    curve: Array,
    scores: Array,
    threshold: float,
    step: float,
    duration: float,
    rules: EventRules,
) -> list[SoundEvent]:
    """The events of a curve [S], in order; none touches another, none ends after `duration`.

    `scores` [S]: probabilities; `threshold`: what the curve reaches in an event; `step`: seconds.
    """
    smooth = median_filter(curve, rules.median, mode="nearest") if rules.median > 1 else curve
    over = np.flatnonzero(smooth >= rules.low * threshold)
    if not len(over):
        return []
    breaks = np.flatnonzero(np.diff(over) > rules.gap + 1)
    firsts = over[np.concatenate([[0], breaks + 1])]
    ends = over[np.append(breaks, len(over) - 1)] + 1
    found = []
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        if (
            smooth[first:end].max() >= threshold
            and end - first >= rules.least
            and first * step < duration
        ):
            # The last step of a sound is longer: it lasts to the sound's end.
            last = duration if end == len(curve) else min(end * step, duration)
            found.append(SoundEvent(first * step, last, float(scores[first:end].max())))
    return found
