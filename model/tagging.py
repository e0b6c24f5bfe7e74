"""A sound's vectors → tags for it: how probable each is, where it was heard, whether to suggest it.

Probabilities are calibrated, each tag for itself (`model.calibration`). Times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.embedder import AudioEmbedding, Embedder

MOST_PLACES = 3  # of one tag
APART = 0.5  # of a window: nearer ones are the same place


@dataclass(frozen=True)
class TagWindow:
    """Where in a sound a tag was heard, and how probable it is there."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class TagScore:
    """A tag: how probable it is, whether that is enough to suggest it, how many times likelier the
    sound makes it than any sound is (None where the model cannot tell), and its best places."""

    tag: str
    score: float
    suggested: bool
    lift: float | None
    windows: list[TagWindow]


@dataclass(frozen=True)
class Suggestion:
    """Tags, best first; the length of the sound; of the known tags, those that counted and those
    that the model does not know."""

    tags: list[TagScore]
    duration: float
    known: list[str]
    ignored: list[str]


def suggest(
    embedder: Embedder, sound: AudioEmbedding, k: int, known: Sequence[str] = ()
) -> Suggestion:
    """The k most probable tags of a sound. `known`: tags it has for certain: others are weighed
    in their company, and they are not among the answer."""
    vocabulary = embedder.vocabulary_vectors
    heard = embedder.understand(known)
    whole = embedder.tag_probabilities(vocabulary @ sound.vector)
    parts = embedder.tag_probabilities(sound.windows @ vocabulary.T)
    if heard.tags:
        whole = embedder.in_company(whole, heard.tags)
        parts = embedder.in_company(parts, heard.tags)
    rates, thresholds = embedder.tag_rates, embedder.tag_thresholds
    order = np.argsort(-whole, kind="stable")
    wanted = [number for number in order if embedder.vocabulary[number] not in heard.tags][:k]
    length = embedder.config.features.window_seconds
    tags = [
        TagScore(
            embedder.vocabulary[number],
            float(whole[number]),
            bool(whole[number] >= thresholds[number]),
            None if rates is None else float(whole[number] / rates[number]),
            _places(sound, parts[:, number], length),
        )
        for number in wanted
    ]
    return Suggestion(tags, sound.info.duration, heard.tags, heard.ignored)


def _places(sound: AudioEmbedding, scores: Array, length: float) -> list[TagWindow]:
    """The best windows that are apart, the best first."""
    taken: list[TagWindow] = []
    for window in np.argsort(-scores, kind="stable"):
        start = float(sound.starts[window])
        if all(abs(start - other.start) >= APART * length for other in taken):
            end = min(start + length, sound.info.duration)
            taken.append(TagWindow(start, max(end, start), float(scores[window])))
            if len(taken) == MOST_PLACES:
                break
    return taken
