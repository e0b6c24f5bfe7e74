"""What stands for a query's words where no clip holds them: the thesaurus, right spellings, and
words that are written of alike.

A related word counts less than the word itself (`index.stores.base.word_weights`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from earmark.index.lexical.stemming import stem, stems
from earmark.model.text.normalize import STOP_WORDS, singular, tokens
from earmark.model.text.thesaurus import Thesaurus
from earmark.model.text.word_vectors import WordVectors

MEANT = 0.95  # what a word counts that a misspelt one is taken for
SPELT = 0.6  # and each of several that it may be
# What the thesaurus says counts in part by how alike the words are written of: of the meanings of
# a word that sets the one apart that people mean.
UNLIKE = 0.2  # of a weight, for words that have nothing in common but the thesaurus
NEAR, NEAR_MOST, NEAR_LEAST = 0.3, 30, 0.4  # of their cosine; how many words; from which cosine


class Related(NamedTuple):
    """A word that may stand for another: its stem, itself, its weight in (0, 1)."""

    stem: str
    word: str
    weight: float


Others = Mapping[str, tuple[Related, ...]]  # by the stem of the word that they may stand for


def joined(text: str, known: WordVectors) -> dict[str, str]:
    """Of words side by side, and parts of compounds, what they are as one word ("door bell"), where
    that is known: by its stem."""
    words = tokens(text.replace("-", " "))
    both = (one + other for one, other in pairwise(words) if not {one, other} & STOP_WORDS)
    return {stem(word): word for word in both if singular(word, known) in known}


class Standing(Mapping[str, tuple[Related, ...]]):
    """By the stem of each of a query's words those that may stand for it, the heaviest first.

    And by the stem of what two of them are as one word, that and what may stand for it. Looked up
    when it is asked for, once: most words are held by some clip, and need nothing.
    """

    def __init__(
        self, text: str, words: Mapping[str, str], known: WordVectors, thesaurus: Thesaurus
    ) -> None:
        self._known, self._thesaurus = known, thesaurus
        self._joined = {own: word for own, word in joined(text, known).items() if own not in words}
        self._words = {**words, **self._joined}
        self._found: dict[str, tuple[Related, ...]] = {}

    def __getitem__(self, own: str) -> tuple[Related, ...]:
        if own not in self._found:
            word = self._words[own]
            itself = (Related(own, word, MEANT),) if own in self._joined else ()
            self._found[own] = (*itself, *self._related(own, word))
        return self._found[own]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def _related(self, own: str, word: str) -> tuple[Related, ...]:
        best: dict[str, Related] = {}
        for other, weight in self._weighed(word):
            parts = list(stems(other))
            # Parts of a compound say something else than the whole.
            if len(parts) == 1 and parts[0] != own:
                each = Related(parts[0], other, weight)
                best[each.stem] = max(best.get(each.stem, each), each, key=lambda one: one.weight)
        return tuple(sorted(best.values(), key=lambda each: (-each.weight, each.stem)))

    def _weighed(self, word: str) -> Iterator[tuple[str, float]]:
        """Related words, each perhaps several times."""
        known = self._known
        for meant in dict.fromkeys((word, *known.resolve(word))):
            if meant != word:
                yield meant, MEANT
            for other, weight in self._thesaurus.related(meant).items():
                alike = max(0.0, known.cosine(meant, other))
                yield other, weight * (UNLIKE + (1 - UNLIKE) * alike)
        for spelling in known.spellings(word):
            yield spelling, SPELT
        for other, cosine in known.near(word, NEAR_MOST, NEAR_LEAST).items():
            yield other, NEAR * cosine
