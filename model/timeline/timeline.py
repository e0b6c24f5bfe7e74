"""A sound → which tags are heard in it, when, and how surely.

Tags are those that a caller names, in any words (`model.zero_shot`), or suggested: those of the
vocabulary that some stretch of the sound makes probable enough. An event is where a tag stands out;
its score is the calibrated probability (`model.calibration`). Axes: S = steps, V = tags of the
vocabulary, n = labels, D = shared dimension. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.timeline.events import EventRules, SoundEvent, find_events
from earmark.model.timeline.steps import HeardSound
from earmark.model.zero_shot import Labels, label_probabilities, label_thresholds


@dataclass(frozen=True)
class Lane:
    """A tag and the events of it, in order of time."""

    tag: str
    events: list[SoundEvent]


@dataclass(frozen=True)
class Timeline:
    """Lanes of tags, in the caller's order, or the strongest first where they are suggested.

    `duration` of the sound, and the seconds of it that are `damaged` and left out; `sample_rate` of
    the file; `ignored` and `notes`: as of `model.zero_shot.Labels`.
    """

    tags: list[Lane]
    duration: float
    damaged: float
    sample_rate: int
    ignored: list[str]
    notes: list[str]


# Chosen by the event-based F1 of mixed recordings (`tests.benchmarks.bench_moments`).
AVERAGED = 2  # the codes of a half of a window's steps are averaged, 1.28 s with the starter model
RULES = EventRules(median=3, low=0.6, gap=3, least=2)
STRENGTH = 3.25  # that an event reaches
ORDINARY, MOST_ORDINARY = 0.7, 1.0
THRESHOLD_SHARE = 0.7  # of a tag's threshold for a whole sound, where the model has no background
MAX_SUGGESTED = 12  # lanes: what a person reads at once
CANDIDATES = 3 * MAX_SUGGESTED
CHUNK = 1_024  # steps whose cosines are computed at once: bounds memory
SAMPLE = 4_096  # steps that tell what is ordinary in a sound


def make_timeline(embedder: Embedder, sound: HeardSound, labels: Labels | None) -> Timeline:
    """The events of these labels in a sound; of suggested tags where there are none."""
    if labels is None:
        chosen = _suggested(embedder, sound)
        lanes = [lane for lane in _lanes(embedder, sound, chosen) if lane.events][:MAX_SUGGESTED]
    else:
        chosen, lanes = labels, _lanes(embedder, sound, labels)
    info = sound.info
    return Timeline(
        lanes, info.duration, info.damaged, info.sample_rate, chosen.ignored, chosen.notes
    )


def _lanes(embedder: Embedder, sound: HeardSound, labels: Labels) -> list[Lane]:
    strength = Strength(embedder, sound, labels)
    strengths, probabilities = [], []
    for vectors in step_vectors(embedder, sound):
        probabilities.append(label_probabilities(embedder, labels, vectors))
        strengths.append(strength(vectors, probabilities[-1]))
    return [
        Lane(
            name,
            find_events(curve, scores, STRENGTH, embedder.step_seconds, sound.info.duration, RULES),
        )
        for name, curve, scores in zip(
            labels.names,
            np.concatenate(strengths).T,
            np.concatenate(probabilities).T,
            strict=True,
        )
    ]


def _suggested(embedder: Embedder, sound: HeardSound) -> Labels:
    """Tags of the vocabulary that are strong and probable somewhere in a sound, the strongest
    first; some may have no event."""
    vocabulary = Labels(embedder.vocabulary, embedder.vocabulary_vectors, [], [])
    thresholds = embedder.calibration.thresholds
    strength = Strength(embedder, sound, vocabulary)
    greatest = np.zeros(len(vocabulary.names), dtype=np.float32)
    for vectors in step_vectors(embedder, sound):
        probabilities = embedder.calibration.probabilities(vectors @ vocabulary.vectors.T)
        strengths = np.where(
            probabilities >= thresholds, strength(vectors, probabilities), np.float32(0)
        )
        np.maximum(greatest, strengths.max(axis=0), out=greatest)
    order = np.argsort(-greatest, kind="stable")[:CANDIDATES]
    chosen = [int(number) for number in order if greatest[number] >= STRENGTH]
    return Labels(
        [embedder.vocabulary[number] for number in chosen], vocabulary.vectors[chosen], [], []
    )


class Strength:
    """How strongly labels stand out in the steps of a sound.

    Where the model knows how labels score sounds at large (`model.background`): the standard score
    of the cosine, less what is ordinary in this sound, its quantile ORDINARY, but not less than by
    MOST_ORDINARY: what is heard all the time is heard, too. Else the probability, in shares of what
    is probable enough, times STRENGTH.
    """

    def __init__(self, embedder: Embedder, sound: HeardSound, labels: Labels) -> None:
        self._labels = labels.vectors
        self._moments = None
        if embedder.background is None:
            self._enough = THRESHOLD_SHARE * label_thresholds(embedder, labels)
            return
        self._moments = embedder.background.moments(labels.vectors)
        every = -(-len(sound.codes) // SAMPLE)
        sample = HeardSound(sound.codes[::every], sound.info)
        standard = np.concatenate(
            [self._standard_scores(vectors) for vectors in step_vectors(embedder, sample)]
        )
        self._ordinary = np.minimum(np.quantile(standard, ORDINARY, axis=0), MOST_ORDINARY)

    def __call__(self, vectors: Array, probabilities: Array) -> Array:
        """Strengths [S, n] of unit vectors [S, D] with probabilities [S, n] of the labels."""
        if self._moments is None:
            return np.asarray(STRENGTH * probabilities / self._enough, dtype=np.float32)
        return np.asarray(self._standard_scores(vectors) - self._ordinary, dtype=np.float32)

    def _standard_scores(self, vectors: Array) -> Array:
        assert self._moments is not None, "of the background"
        mean, deviation = self._moments
        return np.asarray((vectors @ self._labels.T - mean) / deviation, dtype=np.float32)


def step_vectors(embedder: Embedder, sound: HeardSound) -> Iterator[Array]:
    """Unit vectors [≤ CHUNK, D] of a sound's steps, each averaged with those around it."""
    width = max(1, embedder.window_steps // AVERAGED)
    before = width // 2
    padded = np.pad(sound.codes, ((before, width - before - 1), (0, 0)), mode="edge")
    for start in range(0, len(sound.codes), CHUNK):
        part = padded[start : start + CHUNK + width - 1].astype(np.float32)
        views = np.lib.stride_tricks.sliding_window_view(part, width, axis=0)
        yield embedder.project(views.mean(axis=-1))
