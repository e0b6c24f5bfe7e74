"""Concepts, and the phrases that say them in sixteen languages (`earmark.training.phrases`).

Letters: F_w = word dimension.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping, Sequence
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array
from earmark.model.text.normalize import tokens
from earmark.model.text.sentence_vectors import SentenceVectors

LANGUAGES = ("en", *"ar de es fr it ja ko nl pl pt ru th tr zh zh-TW".split())
CLASSES = 527  # of AudioSet; the first concepts of each file

Integers = npt.NDArray[np.int64]


@functools.cache
def phrases_of_concepts() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Each concept's phrases by language, English first; the classes of AudioSet come first."""
    concepts: dict[str, dict[str, tuple[str, ...]]] = {}
    for language in LANGUAGES:
        for concept, said in _read(f"{language}.csv"):
            concepts.setdefault(concept, {})[language] = said
    return concepts


@functools.cache
def associations() -> Mapping[str, tuple[str, ...]]:
    """What people type, by concept, who think of the scene and not of the sound."""
    return dict(_read("associations.csv"))


def _read(name: str) -> list[tuple[str, tuple[str, ...]]]:
    """(concept, phrases) of each row of a file."""
    text = (files("earmark.training.phrases") / name).read_text("utf-8")
    return [
        (row["concept"], tuple(phrase for phrase in row["phrases"].split("; ") if phrase))
        for row in csv.DictReader(text.splitlines())
    ]


def audioset_classes() -> list[str]:
    """The names of AudioSet's classes, in the order of its models' outputs."""
    return list(phrases_of_concepts())[:CLASSES]


@functools.cache
def _concept_of_tag() -> Mapping[str, str]:
    """Each concept by its own name, and classes by the tag that their first name is too."""
    classes = {"-".join(tokens(name.split(",")[0])): name for name in reversed(audioset_classes())}
    return classes | {name: name for name in phrases_of_concepts()}


def phrases_of(concept: str) -> Mapping[str, tuple[str, ...]]:
    """A concept's phrases by language; none where it is unknown. "dog" is the class "Dog"."""
    name = _concept_of_tag().get(concept)
    return {} if name is None else phrases_of_concepts()[name]


def suggested_words() -> list[str]:
    """The words that a model for everyday sounds may suggest as tags."""
    return (files("earmark.training.phrases") / "vocabulary.txt").read_text("utf-8").split()


class ConceptPhrases:
    """The phrases of some concepts, and their vectors.

    Attributes: `texts`, the phrases; `concept_of` [phrases]: the number of each one's concept;
    `first` [concepts]: the row of each concept's own name.
    """

    def __init__(self, concepts: Sequence[str], words: SentenceVectors) -> None:
        self._words = words
        self.texts: list[str] = []
        texts = self.texts
        concept_of: list[int] = []
        self.first = np.zeros(len(concepts), dtype=np.int64)
        self._english: list[Integers] = []
        self._others: list[Integers] = []
        self._associated: list[Integers] = []
        for number, concept in enumerate(concepts):
            by_language = phrases_of(concept)
            english = dict.fromkeys([concept, *by_language.get("en", ())])
            others = [text for language in LANGUAGES[1:] for text in by_language.get(language, ())]
            self.first[number] = len(texts)
            self._english.append(np.arange(len(texts), len(texts) + len(english)))
            texts += english
            self._others.append(np.arange(len(texts), len(texts) + len(others)))
            texts += others
            associated = associations().get(concept, ())
            self._associated.append(np.arange(len(texts), len(texts) + len(associated)))
            texts += associated
            concept_of += [number] * (len(english) + len(others) + len(associated))
        self.concept_of = np.array(concept_of, dtype=np.int64)
        self.literal = np.ones(len(texts), dtype=np.bool_)
        self.literal[_joined(self._associated)] = False

    @functools.cached_property
    def vectors(self) -> Array:
        """Word vectors of the phrases [phrases, F_w]."""
        return self._words.vectors_of(self.texts)

    def __len__(self) -> int:
        return len(self.first)

    def draw(
        self, translated: float, paraphrased: float, generator: np.random.Generator
    ) -> Integers:
        """A row for each concept [concepts]: with these probabilities a phrase of another language,
        or else another English phrase; where there is none, the concept's name."""
        rows = self.first.copy()
        chance = generator.random((len(self), 3))
        for number, (turn, again, which) in enumerate(chance):
            among = self._others[number] if turn < translated else None
            if among is None or not len(among):
                among = self._english[number] if again < paraphrased else None
            if among is not None:
                rows[number] = among[int(which * len(among))]
        return rows

    def draw_translations(self, count: int, generator: np.random.Generator) -> Integers:
        """Rows [count]: phrases of other languages and associations, half of each where there are
        both; none where there are neither."""
        kinds = [rows for rows in map(_joined, (self._others, self._associated)) if len(rows)]
        sizes = [count - count // 2, count // 2] if len(kinds) == 2 else [count]
        drawn = zip(kinds, sizes, strict=False)
        return _joined([generator.choice(rows, size) for rows, size in drawn])


def _joined(rows: Sequence[Integers]) -> Integers:
    return np.concatenate([*rows, np.zeros(0, dtype=np.int64)])
