"""A sound → suggested tags: how probable each tag is, and where in the sound it is heard.

Probabilities are calibrated (`model.calibration`) and tags independent of each other: several can
be probable. What is probable of many sounds ("animal") tells little of one, so tags are ranked by
how far the sound stands out among sounds at large, too. Axes: V = tags of the vocabulary, W =
windows. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.calibration import rescore_given_tags
from earmark.model.core.arrays import Array, Rows
from earmark.model.embedder import AudioEmbedding, Embedder

MAX_WINDOWS = 3  # shown for a tag
# A tag's rank is its standard score and a part of its logit. For the sounds of ESC-10 a word that
# means the class is among three for 85 % by this, for 64 % by the probability alone.
LOGIT_WEIGHT = 0.25
# Beside known tags the probability tells more: which other tags go with them.
LOGIT_WEIGHT_BESIDE_KNOWN = 1.0
MIN_DISTANCE = 0.5  # of a window's length, between the starts of two windows of a tag


@dataclass(frozen=True)
class TagWindow:
    """A window of the sound and the tag's probability in it."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class TagScore:
    """A tag with its probability `score`. `suggested`: whether that reaches the tag's threshold;
    `lift`: the probability over that of any sound, None if the model states no rates; `windows`:
    the best windows, best first.
    """

    tag: str
    score: float
    suggested: bool
    lift: float | None
    windows: list[TagWindow]


@dataclass(frozen=True)
class Suggestion:
    """Tags, the most telling first. `duration` of the sound, and the seconds of it that are
    `damaged` and left out; `known` tags that conditioned them; `ignored` ones, which the model does
    not know, or which are more than it reads.
    """

    tags: list[TagScore]
    duration: float
    damaged: float
    known: list[str]
    ignored: list[str]


def suggest(
    embedder: Embedder, sound: AudioEmbedding, k: int, known: Sequence[str] = ()
) -> Suggestion:
    """The k most telling tags of a sound.

    `known`: tags that the sound certainly has; they condition the others and are not suggested.
    """
    vocabulary = embedder.vocabulary_vectors
    conditions = embedder.parse_tags(known)
    read = conditions.tags[: embedder.max_tags]
    cosines = vocabulary @ sound.vector
    probabilities = embedder.calibration.probabilities(cosines)
    by_window = embedder.calibration.probabilities(sound.windows @ vocabulary.T)
    if read:
        near_known = vocabulary @ embedder.embed_tags([read])[0]
        probabilities = rescore_given_tags(embedder.card, probabilities, near_known)
        by_window = rescore_given_tags(embedder.card, by_window, near_known)
    ranks = rank_tags(embedder, cosines, probabilities, beside_known=bool(read))
    rates, thresholds = embedder.calibration.rates, embedder.calibration.thresholds
    candidates = [
        number
        for number in np.argsort(-ranks, kind="stable")
        if embedder.vocabulary[number] not in conditions.tags
    ]
    tags = [
        TagScore(
            embedder.vocabulary[number],
            float(probabilities[number]),
            bool(probabilities[number] >= thresholds[number]),
            None if rates is None else float(probabilities[number] / rates[number]),
            _best_windows(sound, by_window[:, number], embedder.front_end.window_seconds),
        )
        for number in candidates[:k]
    ]
    ignored = [*conditions.ignored, *conditions.tags[len(read) :]]
    return Suggestion(tags, sound.info.duration, sound.info.damaged, read, ignored)


def most_telling(embedder: Embedder, vectors: Array, k: int) -> tuple[Rows, Array]:
    """Vectors [n, D] of sounds → the tags that `suggest` ranks highest, k or all of them, in any
    order: their indices in the vocabulary [n, k] and their probabilities [n, k]."""
    cosines = vectors @ embedder.vocabulary_vectors.T
    probabilities = embedder.calibration.probabilities(cosines)
    ranks = rank_tags(embedder, cosines, probabilities)
    k = min(k, ranks.shape[1])
    best = np.argpartition(-ranks, k - 1, axis=1)[:, :k] if k else np.zeros((len(ranks), 0), int)
    return best, np.take_along_axis(probabilities, best, axis=1)


def rank_tags(
    embedder: Embedder, cosines: Array, probabilities: Array, *, beside_known: bool = False
) -> Array:
    """What tags are ranked by [..., V], from their cosines and probabilities [..., V]."""
    if embedder.vocabulary_moments is None:
        return probabilities
    mean, deviation = embedder.vocabulary_moments
    certain = np.clip(probabilities, 1e-6, 1 - 1e-6)
    weight = LOGIT_WEIGHT_BESIDE_KNOWN if beside_known else LOGIT_WEIGHT
    ranks = (cosines - mean) / deviation + weight * np.log(certain / (1 - certain))
    return np.asarray(ranks, dtype=np.float32)


def _best_windows(sound: AudioEmbedding, scores: Array, length: float) -> list[TagWindow]:
    """The windows of highest score that do not overlap too much, best first. scores: [W]."""
    best: list[TagWindow] = []
    for number in np.argsort(-scores, kind="stable"):
        start = float(sound.starts[number])
        if all(abs(start - other.start) >= MIN_DISTANCE * length for other in best):
            end = min(start + length, sound.info.duration)
            best.append(TagWindow(start, max(end, start), float(scores[number])))
            if len(best) == MAX_WINDOWS:
                break
    return best
