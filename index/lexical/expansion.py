"""Query expansion: synonyms, corrections and similar words for terms that no clip holds.

A related word counts less than the word itself (`index.lexical.term_weights`). Spellings are of
English words: with a model that reads any language they are only guessed in a text that looks
English, as "bellt" (German: barks) is one edit from "bell".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from earmark.index.lexical.stemming import stem, stems
from earmark.index.lexical.terms import beginning, shorter_stems
from earmark.model.text.normalize import STOP_WORDS, singular, tokens
from earmark.model.text.phrase_vectors import PhraseVectors
from earmark.model.text.thesaurus import Thesaurus
from earmark.model.text.word_vectors import WordVectors

CORRECTION_WEIGHT = 0.95  # of the word that a misspelt one is resolved to, and of compounds
SPELLING_WEIGHT = 0.6  # of each of several possible spellings
BEGINNING_WEIGHT = 0.9  # of the words that begin with one that is half typed
# Of a thesaurus entry and of a neighbour: the model hears better than synonyms tell. Of the 100
# everyday queries (`tests/everyday.py`) 76 have a right sound first with it, 70 with 1.
RELATED_WEIGHT = 0.1
# A thesaurus entry counts in part by its cosine with the word: of a word's senses that picks the
# one that people mean.
MIN_ENTRY_SHARE = 0.2  # of the weight of an entry of cosine 0
MIN_FOREIGN_TEXT = 3  # words of a text that an article or preposition gives away
# Of Spanish, Portuguese, French, Italian, German, Dutch, Polish and Turkish; no English words.
FOREIGN_WORDS = frozenset(
    """
    el la los las un una unos unas del al por para con sin en y o os uma um da na nas nos em ao
    le les une du des et est dans sur avec au aux qui il lo gli di della dello nel nella che
    der das ein eine einen einem einer im dem den auf mit und von zu het een van op zijn met
    w z na przez nad bir ve ile
    """.split()
)
MIN_ENGLISH_SHARE = 0.5  # of a text's words, where misspelt ones are guessed
# Neighbours among the word vectors: weight of their cosine, how many, least cosine.
NEIGHBOUR_WEIGHT, MAX_NEIGHBOURS, MIN_NEIGHBOUR_COSINE = 0.3, 30, 0.4


class RelatedWord(NamedTuple):
    """A word that may stand for another: its stem, the word, its weight in (0, 1)."""

    stem: str
    word: str
    weight: float


RelatedByStem = Mapping[str, tuple[RelatedWord, ...]]  # by the stem of the word they stand for


def compounds(text: str, known: WordVectors, thesaurus: Thesaurus) -> dict[str, str]:
    """Words of the model's list or the thesaurus that are made of two words of a text that stand
    side by side ("door bell" → doorbell), by stem. A hyphen separates words."""
    words = tokens(text.replace("-", " "))
    pairs = (one + other for one, other in pairwise(words) if not {one, other} & STOP_WORDS)
    return {
        stem(word): word
        for word in pairs
        if any(singular(word, words) in words for words in (known, thesaurus))
    }


def looks_english(words: Mapping[str, str], known: WordVectors) -> bool:
    """Whether at least half of a text's words (by stem) are in the model's English word list, and
    none of several is an article or preposition of another language."""
    if len(words) >= MIN_FOREIGN_TEXT and not FOREIGN_WORDS.isdisjoint(words.values()):
        return False
    count = sum(singular(word, known) in known for word in words.values())
    return count >= MIN_ENGLISH_SHARE * len(words)


def is_word(word: str, thesaurus: Thesaurus) -> bool:
    """Whether a word is an English one, as it is written or in the plural."""
    return singular(word, thesaurus) in thesaurus


class RelatedWords(Mapping[str, tuple[RelatedWord, ...]]):
    """Related words of a query's words and compounds, by stem, the heaviest first.

    For a compound the first related word is the compound itself. `half_typed`: the word that may be
    the beginning of others, which then stand for it; one of the thesaurus is whole. Each stem is
    looked up on first use: clips hold most words, which then need no related ones.
    """

    def __init__(
        self,
        text: str,
        words: Mapping[str, str],
        known: WordVectors,
        thesaurus: Thesaurus,
        half_typed: str = "",
    ) -> None:
        self._known, self._thesaurus, self._half_typed = known, thesaurus, half_typed
        self._guesses = not isinstance(known, PhraseVectors) or looks_english(words, known)
        self._compounds = {
            stem: word
            for stem, word in compounds(text, known, thesaurus).items()
            if stem not in words
        }
        self._words = {**words, **self._compounds}
        self._cache: dict[str, tuple[RelatedWord, ...]] = {}

    def __getitem__(self, stem: str) -> tuple[RelatedWord, ...]:
        if stem not in self._cache:
            word = self._words[stem]
            related = self._related(stem, word)
            if stem in self._compounds:
                related = (RelatedWord(stem, word, CORRECTION_WEIGHT), *related)
            self._cache[stem] = related
        return self._cache[stem]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def _related(self, stem: str, word: str) -> tuple[RelatedWord, ...]:
        best: dict[str, RelatedWord] = {}
        if word == self._half_typed and not is_word(word, self._thesaurus):
            best = {other.stem: other for other in _whole_words(word)}
        for other, weight in self._weighted(word):
            parts = list(stems(other))
            # The parts of a compound mean something else than the compound.
            if len(parts) == 1 and parts[0] != stem:
                found = RelatedWord(parts[0], other, weight)
                former = best.get(found.stem, found)
                best[found.stem] = max(former, found, key=lambda related: related.weight)
        return tuple(sorted(best.values(), key=lambda related: (-related.weight, related.stem)))

    def _weighted(self, word: str) -> Iterator[tuple[str, float]]:
        """Related words and weights; a word may come several times."""
        known, thesaurus = self._known, self._thesaurus
        # A word of the thesaurus is no misspelling, though a model's list may lack it.
        is_misspelt = self._guesses and not is_word(word, thesaurus)
        is_read = not known.is_guess(word) or is_misspelt
        for resolved in dict.fromkeys((word, *(known.resolve(word) if is_read else ()))):
            if resolved != word:
                yield resolved, CORRECTION_WEIGHT
            entries = thesaurus.related(resolved) if self._guesses else {}
            cosines = known.cosines(resolved, list(entries))
            for (other, weight), cosine in zip(entries.items(), cosines, strict=True):
                share = MIN_ENTRY_SHARE + (1 - MIN_ENTRY_SHARE) * max(0.0, cosine)
                yield other, RELATED_WEIGHT * weight * share
        for spelling in known.spellings(word) if self._guesses else ():
            yield spelling, SPELLING_WEIGHT
        neighbours = known.near(word, MAX_NEIGHBOURS, MIN_NEIGHBOUR_COSINE)
        for other, cosine in neighbours.items():
            yield other, RELATED_WEIGHT * NEIGHBOUR_WEIGHT * cosine


def _whole_words(half_typed: str) -> Iterator[RelatedWord]:
    """All words that begin so, and those whose stem is shorter than what is typed of them."""
    for term in (beginning(half_typed), *shorter_stems(half_typed)):
        yield RelatedWord(term, half_typed, BEGINNING_WEIGHT)
