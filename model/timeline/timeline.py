"""A sound → which tags are heard in it, when, and how surely.

Tags are those that a caller names, in any words (`model.zero_shot`), or suggested: those of the
vocabulary that some stretch of the sound makes probable enough. Probabilities are calibrated
(`model.calibration`). Axes: S = steps, V = tags of the vocabulary, n = labels, D = shared
dimension. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.tagging import rank_tags
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
    """Lanes of tags, in the caller's order, or the most telling first where they are suggested.

    `duration` of the sound, and the seconds of it that are `damaged` and left out; `sample_rate` of
    the file; `ignored` and `notes`: as of `model.zero_shot.Labels`.
    """

    tags: list[Lane]
    duration: float
    damaged: float
    sample_rate: int
    ignored: list[str]
    notes: list[str]


# What the rules are is chosen by the event-based F1 of mixed recordings
# (`tests.benchmarks.bench_moments`).
AVERAGED = 2  # the codes of a half of a window's steps are averaged, 1.28 s with the starter model
THRESHOLD_SHARE = 0.7  # of a tag's threshold as a tag of a whole sound: what an event reaches
RULES = EventRules(median=3, low=0.3, gap=3, least=2)
MAX_SUGGESTED = 12  # lanes: what a person reads at once
CHUNK = 1_024  # steps whose probabilities are computed at once: bounds memory


def make_timeline(embedder: Embedder, sound: HeardSound, labels: Labels | None) -> Timeline:
    """The events of these labels in a sound; of suggested tags where there are none."""
    if labels is None:
        labels = _suggested(embedder, sound)
    features = embedder.config.features
    step = features.frames // embedder.config.window_steps * features.hop / features.sample_rate
    curves = np.concatenate(
        [label_probabilities(embedder, labels, vectors) for vectors in _vectors(embedder, sound)]
    )
    thresholds = THRESHOLD_SHARE * label_thresholds(embedder, labels)
    lanes = [
        Lane(name, find_events(curve, float(threshold), step, sound.info.duration, RULES))
        for name, curve, threshold in zip(labels.names, curves.T, thresholds, strict=True)
    ]
    info = sound.info
    return Timeline(
        lanes, info.duration, info.damaged, info.sample_rate, labels.ignored, labels.notes
    )


def _suggested(embedder: Embedder, sound: HeardSound) -> Labels:
    """The tags of the vocabulary that reach their thresholds somewhere in a sound, the most telling
    first, each by where it is most telling (`model.tagging.rank_tags`)."""
    vocabulary = embedder.vocabulary_vectors
    ranks = np.full(len(vocabulary), -np.inf, dtype=np.float32)
    for vectors in _vectors(embedder, sound):
        cosines = vectors @ vocabulary.T
        probabilities = embedder.calibration.probabilities(cosines)
        ranked = rank_tags(embedder, cosines, probabilities)
        ranked[probabilities < embedder.calibration.thresholds] = -np.inf
        np.maximum(ranks, ranked.max(axis=0, initial=-np.inf), out=ranks)
    order = np.argsort(-ranks, kind="stable")[:MAX_SUGGESTED]
    chosen = [int(number) for number in order if ranks[number] > -np.inf]
    names = [embedder.vocabulary[number] for number in chosen]
    return Labels(names, vocabulary[chosen], [], [])


def _vectors(embedder: Embedder, sound: HeardSound) -> Iterator[Array]:
    """Unit vectors [≤ CHUNK, D] of a sound's steps, each averaged with those around it."""
    width = max(1, embedder.config.window_steps // AVERAGED)
    before = width // 2
    padded = np.pad(sound.codes, ((before, width - before - 1), (0, 0)), mode="edge")
    for start in range(0, len(sound.codes), CHUNK):
        part = padded[start : start + CHUNK + width - 1].astype(np.float32)
        views = np.lib.stride_tricks.sliding_window_view(part, width, axis=0)
        yield embedder.project(views.mean(axis=-1))
