"""A sound's vector → how probable labels of one's own are: classes that exclude each other, or
labels of which several may be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder, Understood, unit
from earmark.model.text.thesaurus import shipped

MAX_LABELS = 200
MAX_LABEL_LETTERS = 100
MAX_PROMPTS = 20  # of one label


@dataclass(frozen=True)
class ClassScore:
    """A label and its probability; those of exclusive classes sum to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Classification:
    """Labels, the most probable first, and the words in them that were not understood."""

    classes: list[ClassScore]
    ignored: list[str]


@dataclass(frozen=True)
class Labels:
    """Labels, their unit vectors [n, D], and words of their prompts that were not understood."""

    names: list[str]
    vectors: Array
    ignored: list[str]

    @classmethod
    def of(cls, embedder: Embedder, prompts: Mapping[str, Sequence[str]], least: int) -> Labels:
        """Labels with the prompts that describe each: the mean of their vectors counts, words that
        the model was not trained on led by the thesaurus to those that it was.

        Raises InputError for too few or too many, too long, or not understood.
        """
        if not least <= len(prompts) <= MAX_LABELS:
            raise InputError(
                f"labels: expected {least} to {MAX_LABELS} different ones, got {len(prompts)}"
            )
        understood: list[Understood] = []
        vectors = []
        for label, own in prompts.items():
            if not 1 <= len(own) <= MAX_PROMPTS:
                raise InputError(
                    f"prompts: expected 1 to {MAX_PROMPTS} for {label[:60]!r}, got {len(own)}"
                )
            for text in (label, *own):
                if len(text) > MAX_LABEL_LETTERS:
                    raise InputError(
                        f"labels: expected at most {MAX_LABEL_LETTERS} letters each, "
                        f"got {len(text)}: {text[:60]!r}"
                    )
            words = [embedder.understand(text) for text in own]
            used = [each.tags for each in words if each.tags]
            if not used:
                raise InputError(f"labels: not understood: {label[:60]!r}")
            understood += words
            vectors.append(embedder.embed_tags(used, shipped()).mean(axis=0))
        ignored = [word for words in understood for word in words.ignored]
        return cls(list(prompts), unit(np.stack(vectors)), ignored)


def different(labels: Sequence[str]) -> dict[str, list[str]]:
    """Plain labels, each once, as their own prompts; empty ones are left out."""
    return {label: [label] for label in dict.fromkeys(map(str.strip, labels)) if label}


def exclusive(embedder: Embedder, labels: Labels, vector: Array) -> Classification:
    """Classes of which one is true: a softmax of the cosines over the fitted temperature."""
    logits = (labels.vectors @ vector).astype(np.float64)
    weights = np.exp((logits - logits.max()) / embedder.class_temperature)
    return _ranked(labels, weights / weights.sum())


def several(embedder: Embedder, labels: Labels, vector: Array) -> Classification:
    """Labels of which any number may be true, each with a probability of its own."""
    cosines = labels.vectors @ vector
    return _ranked(labels, embedder.label_probabilities(labels.names, cosines, vector))


def _ranked(labels: Labels, probabilities: np.ndarray) -> Classification:
    return Classification(
        [
            ClassScore(labels.names[number], float(probabilities[number]))
            for number in np.argsort(-probabilities, kind="stable")
        ],
        labels.ignored,
    )
