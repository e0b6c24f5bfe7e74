"""A sound + labels of the caller's choice → probabilities.

The labels are either exclusive classes or tags of which several can be true. Each has prompts,
texts that describe it; the mean of their vectors stands for the label. Axes: n = labels, D = shared
dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from earmark.model.calibration import DEFAULT_THRESHOLD, class_temperature
from earmark.model.core.arrays import Array, Floats
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder, unit
from earmark.model.taught import LinearClassifier
from earmark.model.text.negation import negating_word

MAX_LABELS = 200
MAX_LABEL_LETTERS = 100
MAX_PROMPTS = 20  # of one label
# Cosine of two labels that mean nearly the same to a model. Of 45 pairs that people mean the same
# by, 28 have it with a model of phrases ("dog" and "dogs" 0.99, "rain" and "raining" 0.95); of 56
# others 5, which it does not tell apart ("light rain" and "heavy rain" 0.98, "crow" and "raven").
SAME_COSINE = 0.95

Prompts = Mapping[str, Sequence[str]]  # of each label
Taught = Mapping[str, LinearClassifier]  # of labels that people have taught
NONE_TAUGHT: Taught = MappingProxyType({})


@dataclass(frozen=True)
class ClassScore:
    """A label and its probability; those of exclusive classes sum to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Classification:
    """Labels, the most probable first, the words of their prompts that the model ignored, and
    `notes` for people on labels that it takes otherwise than they may be meant. `taught`: the
    labels that people have taught, instead of words."""

    classes: list[ClassScore]
    ignored: list[str]
    notes: list[str]
    taught: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Labels:
    """Labels, their unit vectors [n, D], the words of their prompts that the model ignored, and
    `notes` as of `Classification`. `taught`: classifiers of the labels that have one; their
    vectors are the classifiers' directions."""

    names: list[str]
    vectors: Array
    ignored: list[str]
    notes: list[str]
    taught: Taught = field(default_factory=dict)


def plain_prompts(labels: Sequence[str]) -> dict[str, list[str]]:
    """Each distinct label as its own prompt, without empty ones."""
    return {label: [label] for label in dict.fromkeys(map(str.strip, labels)) if label}


def check_prompts(prompts: Prompts, min_labels: int, name: str = "labels") -> None:
    """Raise InputError for too few or too many labels or prompts, or texts that are too long.

    `name`: what the caller has them from.
    """
    if not min_labels <= len(prompts) <= MAX_LABELS:
        raise InputError(
            f"{name}: expected {min_labels} to {MAX_LABELS} different ones, got {len(prompts)}"
        )
    for label, texts in prompts.items():
        if not 1 <= len(texts) <= MAX_PROMPTS:
            raise InputError(
                f"prompts: expected 1 to {MAX_PROMPTS} for {label[:60]!r}, got {len(texts)}"
            )
        for text in (label, *texts):
            if len(text) > MAX_LABEL_LETTERS:
                raise InputError(
                    f"{name}: expected at most {MAX_LABEL_LETTERS} letters each, "
                    f"got {len(text)}: {text[:60]!r}"
                )


def embed_labels(
    embedder: Embedder, prompts: Prompts, name: str = "labels", taught: Taught = NONE_TAUGHT
) -> Labels:
    """Labels and the vectors of their prompts. `name`: what the caller has them from; `taught`:
    classifiers that stand for some of the labels, whose prompts are not read then.

    Raises InputError for a label whose prompts have no word that the model knows, or without a
    label.
    """
    if not prompts:
        raise InputError(f"{name}: expected at least one, got none")
    tag_sets: list[list[str]] = []
    ends: list[int] = []  # each label's in `tag_sets`
    ignored: list[str] = []
    worded = {label: texts for label, texts in prompts.items() if label not in taught}
    for label, texts in worded.items():
        parsed = [embedder.parse_tags(text) for text in texts]
        understood = [text.pieces for text in parsed if text.tags]
        if not understood:
            raise InputError(f"{name}: not understood: {label[:60]!r}")
        tag_sets += understood
        ends.append(len(tag_sets))
        ignored += [word for text in parsed for word in text.ignored]
    sets = np.split(embedder.embed_tags(tag_sets), ends[:-1]) if worded else []
    means = {label: of.mean(axis=0) for label, of in zip(worded, sets, strict=True)}
    used = {label: taught[label] for label in prompts if label in taught}
    directions = {label: found.direction for label, found in used.items()}
    vectors = unit(np.stack([(means | directions)[label] for label in prompts]))
    notes = [*_negations(worded), *_twins(list(prompts), vectors)]
    return Labels(list(prompts), vectors, ignored, notes, used)


def _negations(prompts: Prompts) -> list[str]:
    """A note for each label with a prompt that negates: its vector lies beside what it negates."""
    notes = []
    for label, texts in prompts.items():
        word = next(filter(None, map(negating_word, texts)), None)
        if word:
            notes.append(f"“{label}”: the model does not understand “{word}”")
    return notes


def _twins(names: Sequence[str], vectors: Array) -> list[str]:
    """A note for each label that means nearly the same as one before it. vectors: [n, D]."""
    same = np.tril(vectors @ vectors.T >= SAME_COSINE, -1)
    pairs = [(int(same[number].argmax()), number) for number in range(len(names))]
    return [
        f"“{names[first]}” and “{names[second]}” mean nearly the same to the model"
        for first, second in pairs
        if same[second, first]
    ]


def classify(
    embedder: Embedder, labels: Labels, vector: Array, *, multiple: bool = False
) -> Classification:
    """Score labels for a sound's vector [D]: as exclusive classes, or `multiple` at once."""
    score = label_probabilities if multiple else class_probabilities
    probabilities = score(embedder, labels, vector)
    return Classification(
        [
            ClassScore(labels.names[number], float(probabilities[number]))
            for number in np.argsort(-probabilities, kind="stable")
        ],
        labels.ignored,
        labels.notes,
        list(labels.taught),
    )


def class_probabilities(embedder: Embedder, labels: Labels, vector: Array) -> Floats:
    """Exclusive classes [n], which sum to 1: the softmax over the fitted temperature of cosines, or
    of standard scores where the model has a background (`model.background`)."""
    if embedder.background is None:
        scores = labels.vectors @ vector
    else:
        scores = embedder.background.standard_scores(labels.vectors, vector)
    logits = scores.astype(np.float64)
    standard = embedder.background is not None
    temperature = class_temperature(embedder.card, standard_scores=standard)
    weights = np.exp((logits - logits.max()) / temperature)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def label_probabilities(embedder: Embedder, labels: Labels, vector: Array) -> Array:
    """The calibrated probability of each label [..., n], of which several can be true, for a
    sound's vector [..., D]."""
    probabilities = embedder.calibration.label_probabilities(
        vector @ labels.vectors.T,
        _vocabulary_numbers(embedder, labels),
        vector @ embedder.vocabulary_vectors.T,
    )
    for label, classifier in labels.taught.items():
        probabilities[..., labels.names.index(label)] = classifier.probabilities(vector)
    return probabilities


def label_thresholds(embedder: Embedder, labels: Labels) -> Array:
    """The probability [n] from which each label is suggested; that of the median tag for a label
    outside the vocabulary."""
    thresholds = embedder.calibration.thresholds
    median = float(np.median(thresholds)) if len(thresholds) else DEFAULT_THRESHOLD
    numbers = _vocabulary_numbers(embedder, labels)
    found = [median if number is None else float(thresholds[number]) for number in numbers]
    return np.array(found, dtype=np.float32)


def _vocabulary_numbers(embedder: Embedder, labels: Labels) -> list[int | None]:
    numbers = {tag: number for number, tag in enumerate(embedder.vocabulary)}
    return [numbers.get(label) for label in labels.names]
