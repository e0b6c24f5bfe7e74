"""What a person types: words, words that must not be there, words that weigh more.

`rain thunder` asks for both; `-wind` for sounds without wind; `thunder^2` weighs twice as much.
A hyphen inside a word is part of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from index.records import Array
from model.embedder import Embedder, Understood, unit

MIN_WEIGHT, MAX_WEIGHT = 0.1, 10.0
NEGATIVE_SHARE = 0.5  # of the unwanted direction that is taken away

_WEIGHTED = re.compile(r"(.+)\^(\d+(?:\.\d+)?)$")
_NEGATIVE = re.compile(r"-(\w.*)$")


@dataclass(frozen=True)
class Query:
    """A text taken apart. `weights`: of words of `text` that have one, within 0.1 to 10."""

    text: str
    without: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


def parse(text: str) -> Query:
    """Any text is a query; what is not written as above is taken as words."""
    words, without, weights = [], [], {}
    for piece in text.split():
        negative = _NEGATIVE.match(piece)
        weighted = _WEIGHTED.match(piece)
        if negative:
            without.append(negative[1])
        elif weighted:
            words.append(weighted[1])
            weights[weighted[1]] = min(max(float(weighted[2]), MIN_WEIGHT), MAX_WEIGHT)
        else:
            words.append(piece)
    return Query(" ".join(words), tuple(without), weights)


def embed(embedder: Embedder, query: Query, understood: Understood) -> Array | None:
    """The query's unit vector [D]; None where no word of it is understood.

    The wanted tags as one set, drawn towards those that weigh more, away from those unwanted.
    """
    unwanted = embedder.understand(query.without).tags
    vector = np.zeros(embedder.dim, dtype=np.float32)
    if understood.tags:
        vector = embedder.embed_tags([understood.tags])[0]
        vector = vector + _drawn(embedder, understood.tags, query.weights)
    if unwanted:
        length = float(np.linalg.norm(vector)) or 1.0
        vector = vector - NEGATIVE_SHARE * length * embedder.embed_tags([unwanted])[0]
    return unit(vector[None])[0] if vector.any() else None


def _drawn(embedder: Embedder, tags: Sequence[str], weights: dict[str, float]) -> Array:
    """Where weights draw the vector: nowhere when all are 1."""
    own = dict.fromkeys(tags, 1.0)
    for word, weight in weights.items():
        own |= {tag: weight for tag in embedder.understand(word).tags if tag in own}
    uneven = [(tag, weight - 1.0) for tag, weight in own.items() if weight != 1.0]
    if not uneven:
        return np.zeros(embedder.dim, dtype=np.float32)
    vectors = embedder.embed_tags([[tag] for tag, _ in uneven])
    more = np.array([weight for _, weight in uneven], dtype=np.float32)
    return np.asarray(more @ vectors / len(tags), dtype=np.float32)
