"""Word vectors e_w, and how a word that has none still gets one.

Conventions: vectors are float32 [F_w]; a word is a clean tag (`model.text.normalize`). The search
for an unknown word goes from the closest to the farthest and never fails: the word itself,
its singular, its parts at hyphens, the parts joined, a spelling one or two letters away, two
known words written as one, FastText sub-words; else it is skipped and the caller says so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from earmark.model.core.arrays import Array
from earmark.model.core.errors import WordsError
from earmark.model.text.normalize import STOP_WORDS, singular

if TYPE_CHECKING:
    from gensim.models import KeyedVectors


MIN_SPELLING = 7  # letters; shorter words have other words one letter away (quack, quick)
MIN_GUESS = 5  # letters, where all words one letter away are taken together
MIN_PART = 3
COMMON_WORDS = 25_000  # only frequent words are offered as spellings or parts
NEAR_WORDS = 50_000  # as words that are near: all would take long, of FastText's two million


@dataclass(frozen=True)
class Subwords:
    """FastText's n-gram buckets: vectors [buckets, F_w], n-grams of min_n to max_n letters."""

    vectors: Array
    min_n: int
    max_n: int

    def vector(self, word: str) -> Array:
        """Mean of the word's n-gram vectors, [F_w]."""
        from gensim.models.fasttext import ft_ngram_hashes

        rows = ft_ngram_hashes(word, self.min_n, self.max_n, len(self.vectors))
        if not len(rows):
            return np.zeros(self.vectors.shape[1], dtype=np.float32)
        return np.asarray(self.vectors[rows].mean(axis=0), dtype=np.float32)


class WordVectors:
    """Words in order of frequency, and their vectors [V, F_w]."""

    def __init__(
        self, words: Sequence[str], vectors: Array, subwords: Subwords | None = None
    ) -> None:
        if vectors.ndim != 2 or len(words) != len(vectors):
            raise WordsError(
                f"vectors: expected one row for each of {len(words)} words, got {vectors.shape}"
            )
        self.words = list(words)
        self.vectors = vectors
        self.subwords = subwords
        self._row = {word: row for row, word in enumerate(self.words)}
        if len(self._row) != len(self.words):
            raise WordsError("words: expected each word once, got repeats")
        self._common = frozenset(self.words[:COMMON_WORDS])
        self.resolve = functools.lru_cache(maxsize=65_536)(self._resolve)

    @classmethod
    def from_gensim(cls, keyed: KeyedVectors) -> WordVectors:
        """From gensim's KeyedVectors; those of FastText keep their sub-words."""
        subwords = None
        if hasattr(keyed, "vectors_ngrams"):
            subwords = Subwords(
                np.asarray(keyed.vectors_ngrams, np.float32), keyed.min_n, keyed.max_n
            )
        return cls(keyed.index_to_key, np.asarray(keyed.vectors, np.float32), subwords)

    @classmethod
    def one_hot(cls, words: Sequence[str]) -> WordVectors:
        """The COALA baseline's "word vectors": the identity."""
        return cls(words, np.eye(len(words), dtype=np.float32))

    @property
    def dim(self) -> int:
        """F_w."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._row

    def _resolve(self, word: str) -> tuple[str, ...]:
        """Known words that stand for `word`, or none. Memoised as `resolve`."""
        if word in self._row:
            return (word,)
        if (one := singular(word, self._row)) in self._row:
            return (one,)
        if "-" in word:
            parts = [self.resolve(part) for part in word.split("-") if part]
            if any(parts):
                return tuple(dict.fromkeys(known for part in parts for known in part))
            if (joined := word.replace("-", "")) in self._row:
                return (joined,)
        if self.subwords is not None or not word.isalpha():
            return ()
        near = self._nearest_spelling(word)
        return (near,) if near else self._two_words(word)

    def _nearest_spelling(self, word: str) -> str | None:
        """A common word one edit away, or two for eight letters and more; frequent first."""
        if len(word) < MIN_SPELLING or len(word) > 30:
            return None
        found = self._within(word, 1 if len(word) < 8 else 2)
        return found[0] if found else None

    def _within(self, word: str, edits: int) -> list[str]:
        """Common words of its first letter, so few edits away; nearest, then frequent first."""
        from rapidfuzz.distance import OSA

        found = [
            (distance, self._row[known], known)
            for length in range(len(word) - edits, len(word) + edits + 1)
            for known in self._alike.get((word[0], length), ())
            if (distance := OSA.distance(word, known, score_cutoff=edits)) <= edits
        ]
        return [known for _, _, known in sorted(found)]

    @functools.cached_property
    def _alike(self) -> dict[tuple[str, int], list[str]]:
        """Common words by first letter and length."""
        alike: dict[tuple[str, int], list[str]] = {}
        for known in self.words[:COMMON_WORDS]:
            alike.setdefault((known[0], len(known)), []).append(known)
        return alike

    def _two_words(self, word: str) -> tuple[str, ...]:
        """The split into two common words whose shorter half is the longest."""
        splits = [
            (word[:cut], word[cut:])
            for cut in range(MIN_PART, len(word) - MIN_PART + 1)
            if word[:cut] in self._common and singular(word[cut:], self._row) in self._common
            if word[:cut] not in STOP_WORDS and word[cut:] not in STOP_WORDS
        ]
        if not splits:
            return ()
        first, second = max(splits, key=lambda pair: min(map(len, pair)))
        return (first, singular(second, self._row))

    def guess(self, word: str) -> str:
        """The known words that a misspelt or run-together word is taken for, else nothing."""
        known = self.resolve(word)
        plain = word.replace("-", " ").split()
        own = {form for part in (word, *plain) for form in (part, singular(part, self._row))}
        return "" if own & set(known) or word.replace("-", "") in known else " ".join(known)

    def certain_vector(self, word: str) -> Array | None:
        """The word's vector, or None where it would be a guess: for tags to train on."""
        return None if self.guess(word) else self.vector(word)

    def vector(self, word: str) -> Array | None:
        """The word's vector, the mean of those that stand for it, or None: not understood."""
        known = self.resolve(word)
        if len(known) == 1:
            return np.asarray(self.vectors[self._row[known[0]]], dtype=np.float32)
        if known:
            rows = self.vectors[[self._row[each] for each in known]]
            return np.asarray(rows.mean(axis=0), dtype=np.float32)
        return self.subwords.vector(word) if self.subwords is not None else None

    def cosine(self, word: str, other: str) -> float:
        """How alike two words are written of, in [-1, 1]; 0 where one has no vector."""
        one, two = self.vector(word), self.vector(other)
        if one is None or two is None:
            return 0.0
        lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(two))
        return float(one @ two) / max(lengths, 1e-12)

    def near(self, word: str, most: int, least: float) -> dict[str, float]:
        """The up to `most` frequent words nearest to a word, and their cosines from `least`."""
        vector = self.vector(word)
        if vector is None:
            return {}
        length = max(float(np.linalg.norm(vector)), 1e-12)
        cosines = self.vectors[:NEAR_WORDS] @ vector / (self._norms * length)
        own = [self._row[known] for known in self.resolve(word)]
        cosines[[row for row in own if row < len(cosines)]] = -1  # itself
        rows = np.flatnonzero(cosines >= least)
        best = rows[np.argsort(-cosines[rows], kind="stable")[:most]].tolist()
        return {self.words[row]: float(cosines[row]) for row in best}

    def spellings(self, word: str) -> list[str]:
        """Common words one edit away from a word that nothing is known of; frequent first."""
        if len(word) < MIN_GUESS or len(word) > 30 or self.resolve(word):
            return []
        return self._within(word, 1)

    @functools.cached_property
    def _norms(self) -> Array:
        """Lengths of the vectors of the words that `near` offers."""
        lengths: Array = np.linalg.norm(self.vectors[:NEAR_WORDS], axis=1)
        return np.asarray(np.maximum(lengths, 1e-12), dtype=np.float32)

    def unit(self) -> WordVectors:
        """The same words, their vectors scaled to length 1."""
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        scaled = (self.vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        return WordVectors(self.words, scaled, self.subwords)

    def keep(self, count: int, also: Iterable[str] = ()) -> WordVectors:
        """The `count` most frequent words, and `also` those of these that are known."""
        wanted = dict.fromkeys(self.words[:count])
        wanted.update(dict.fromkeys(word for word in also if word in self._row))
        rows = sorted(self._row[word] for word in wanted)
        return WordVectors([self.words[row] for row in rows], self.vectors[rows], self.subwords)
