"""What the service can do, free of any web framework: the routes and the command line call it.

Conventions: cosines in [-1, 1], probabilities in [0, 1], times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from index.filters import Filter
from index.library import Found, Library
from index.ranking import Hit
from index.records import Array, Clip
from model.checkpoint import starter_model
from model.decode import Source
from model.embedder import Embedder
from model.errors import InputError
from service.defaults import open_library

MAX_LABELS = 200
MAX_LABEL_LETTERS = 100


@dataclass(frozen=True)
class TagWindow:
    """Where in a sound a tag was heard, and how probable it is there."""

    start: float
    score: float


@dataclass(frozen=True)
class TagScore:
    """A suggested tag: how probable it is, each for itself, and its best windows."""

    tag: str
    score: float
    windows: list[TagWindow]


@dataclass(frozen=True)
class Suggestion:
    """Suggested tags, best first, and the length of the sound."""

    tags: list[TagScore]
    duration: float


@dataclass(frozen=True)
class ClassScore:
    """A label and its probability; those of one answer sum to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Classification:
    """Labels, the most probable first, and the words in them that were not understood."""

    classes: list[ClassScore]
    ignored: list[str]


class Engine:
    """A model and, for what needs one, a library. Safe to share between threads."""

    def __init__(self, embedder: Embedder, library: Library | None = None) -> None:
        self.embedder = embedder
        self._library = library

    @classmethod
    def open(
        cls,
        model: Path | None = None,
        library: Path | None = None,
        *,
        device: str = "cpu",
        with_library: bool = True,
    ) -> Engine:
        """Load a model (the starter by default) and open a library (the demo by default)."""
        embedder = Embedder.load(model or starter_model(), device)
        return cls(embedder, open_library(library, embedder) if with_library else None)

    def close(self) -> None:
        """Close the library."""
        if self._library is not None:
            self._library.close()

    @property
    def library(self) -> Library:
        """The open library."""
        assert self._library is not None, "this engine was opened without a library"
        return self._library

    def search(
        self,
        text: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Found:
        """Sounds for words, of those that pass a filter. Raises CursorError."""
        return self.library.search(text, k, where, cursor=cursor, distinct=distinct)

    def similar(self, source: Source, k: int = 10, max_seconds: float | None = None) -> list[Hit]:
        """Sounds like a sound. Raises AudioError."""
        return self.library.similar(self._vector(source, max_seconds), k)

    def clip(self, clip_id: str) -> Clip:
        """A clip of the library. Raises UnknownClipError."""
        return self.library.catalogue.clip(clip_id)

    def _vector(self, source: Source, max_seconds: float | None) -> Array:
        return self.embedder.embed_audio(source, _name(source), max_seconds).vector

    def suggest(self, source: Source, k: int = 10, max_seconds: float | None = None) -> Suggestion:
        """Tags for a sound. Raises AudioError."""
        sound = self.embedder.embed_audio(source, _name(source), max_seconds)
        vocabulary = self.embedder.vocabulary_vectors
        whole = self.embedder.tag_probabilities(vocabulary @ sound.vector)
        parts = self.embedder.tag_probabilities(sound.windows @ vocabulary.T)
        tags = [
            TagScore(
                self.embedder.vocabulary[number],
                float(whole[number]),
                [
                    TagWindow(float(sound.starts[window]), float(parts[window, number]))
                    for window in np.argsort(-parts[:, number], kind="stable")[:3]
                ],
            )
            for number in np.argsort(-whole, kind="stable")[:k]
        ]
        return Suggestion(tags, sound.info.duration)

    def classify(
        self, source: Source, labels: Sequence[str], max_seconds: float | None = None
    ) -> Classification:
        """One's own labels as exclusive classes. Raises AudioError, InputError.

        Probabilities are a softmax of the cosines over the model's temperature.
        """
        named = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
        if not 2 <= len(named) <= MAX_LABELS:
            raise InputError(f"labels: expected 2 to {MAX_LABELS} different ones, got {len(named)}")
        if longest := [label for label in named if len(label) > MAX_LABEL_LETTERS]:
            raise InputError(
                f"labels: expected at most {MAX_LABEL_LETTERS} letters each, "
                f"got {len(longest[0])}: {longest[0][:60]!r}"
            )
        understood = [self.embedder.understand(label) for label in named]
        for label, words in zip(named, understood, strict=True):
            if not words.tags:
                raise InputError(f"labels: not understood: {label[:60]!r}")
        targets = self.embedder.embed_tags([words.tags for words in understood])
        logits = (targets @ self._vector(source, max_seconds)).astype(np.float64)
        weights = np.exp((logits - logits.max()) / self.embedder.temperature)
        probabilities = weights / weights.sum()
        return Classification(
            [
                ClassScore(named[number], float(probabilities[number]))
                for number in np.argsort(-probabilities, kind="stable")
            ],
            ignored=[word for words in understood for word in words.ignored],
        )

    def model_card(self) -> dict[str, Any]:
        """What is known of the model, its figures and limits."""
        embedder = self.embedder
        card = {name: value for name, value in embedder.card.items() if name != "history"}
        return {
            "name": embedder.config.name,
            "fingerprint": embedder.fingerprint,
            "dim": embedder.dim,
            "words": len(embedder.words),
            "vocabulary": len(embedder.vocabulary),
            "max_tags": embedder.config.tags.max_tags,
            "window_seconds": embedder.config.features.window_seconds,
            "sample_rate": embedder.config.features.sample_rate,
            "card": card,
        }


def _name(source: Source) -> str:
    """What error messages call a sound: never a name that a client chose."""
    return source.name if isinstance(source, Path) else "file"
