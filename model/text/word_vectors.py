"""Word vectors e_w, and substitutes for words that have none.

Vectors are float32 [F_w]; a word is a clean tag (`model.text.normalize`). A word outside the
vocabulary is resolved by the first that succeeds: its singular; its parts at hyphens; the parts
joined; a spelling one or two edits away; two words written as one; FastText sub-words. Axes:
V = words, F_w = word dimension.
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


MIN_CORRECTED = 7  # letters; shorter words are one edit from other words (quack, quick)
MIN_SUGGESTED = 5  # letters, for `spellings`, which gives all candidates
MAX_CORRECTED = 30  # letters
MIN_PART = 3  # letters
COMMON_WORDS = 25_000  # most frequent words: candidates for spellings and parts
NEAR_WORDS = 50_000  # candidates for `near`: all two million of FastText would take long


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
                f"vectors: expected one row for each of {len(words)} words, "
                f"got the shape {list(vectors.shape)}"
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
        """From gensim's KeyedVectors, with the sub-words of FastText."""
        subwords = None
        if hasattr(keyed, "vectors_ngrams"):
            subwords = Subwords(
                np.asarray(keyed.vectors_ngrams, np.float32), keyed.min_n, keyed.max_n
            )
        return cls(keyed.index_to_key, np.asarray(keyed.vectors, np.float32), subwords)

    @classmethod
    def one_hot(cls, words: Sequence[str]) -> WordVectors:
        """One-hot vectors, for the COALA baseline."""
        return cls(words, np.eye(len(words), dtype=np.float32))

    @property
    def dim(self) -> int:
        """F_w, the size of a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._row

    def _resolve(self, word: str) -> tuple[str, ...]:
        """The vocabulary words that stand for `word`, if any. Cached as `resolve`."""
        if word in self._row:
            return (word,)
        if (base := singular(word, self._row)) in self._row:
            return (base,)
        if "-" in word:
            parts = [self.resolve(part) for part in word.split("-") if part]
            if any(parts):
                return tuple(dict.fromkeys(found for part in parts for found in part))
            if (joined := word.replace("-", "")) in self._row:
                return (joined,)
        if self.subwords is not None or not word.isalpha():
            return ()
        correction = self._correct(word)
        return (correction,) if correction else self._split(word)

    def _correct(self, word: str) -> str | None:
        """The nearest common word, one edit away, or two from eight letters on."""
        if not MIN_CORRECTED <= len(word) <= MAX_CORRECTED:
            return None
        candidates = self._within(word, 1 if len(word) < 8 else 2)
        return candidates[0] if candidates else None

    def _within(self, word: str, edits: int) -> list[str]:
        """Common words with the same first letter within `edits`; nearest, then frequent first."""
        from rapidfuzz.distance import OSA

        found = [
            (distance, self._row[other], other)
            for length in range(len(word) - edits, len(word) + edits + 1)
            for other in self._common_by_shape.get((word[0], length), ())
            if (distance := OSA.distance(word, other, score_cutoff=edits)) <= edits
        ]
        return [other for _, _, other in sorted(found)]

    @functools.cached_property
    def _common_by_shape(self) -> dict[tuple[str, int], list[str]]:
        """Common words by first letter and length."""
        by_shape: dict[tuple[str, int], list[str]] = {}
        for word in self.words[:COMMON_WORDS]:
            by_shape.setdefault((word[0], len(word)), []).append(word)
        return by_shape

    def _split(self, word: str) -> tuple[str, ...]:
        """Split into two common words, the shorter one as long as possible; empty if impossible."""
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

    def is_guess(self, word: str) -> bool:
        """Whether the words that stand for a word are a guess: it is misspelt or run together."""
        resolved = self.resolve(word)
        parts = word.replace("-", " ").split()
        forms = {form for part in (word, *parts) for form in (part, singular(part, self._row))}
        is_certain = forms & set(resolved) or word.replace("-", "") in resolved
        return bool(resolved) and not is_certain

    def is_known(self, word: str) -> bool:
        """Whether a word is a common one."""
        return word in self._common

    def guess(self, word: str) -> str:
        """The words that stand for a misspelt or run-together word; empty for other words."""
        return " ".join(self.resolve(word)) if self.is_guess(word) else ""

    def certain_vector(self, word: str) -> Array | None:
        """The word's vector, or None if it would be a guess: for tags to train on."""
        return None if self.guess(word) else self.vector(word)

    def vector(self, word: str) -> Array | None:
        """The word's vector [F_w], or the mean of those that stand for it; None if none does."""
        resolved = self.resolve(word)
        if len(resolved) == 1:
            return np.asarray(self.vectors[self._row[resolved[0]]], dtype=np.float32)
        if resolved:
            rows = self.vectors[[self._row[other] for other in resolved]]
            return np.asarray(rows.mean(axis=0), dtype=np.float32)
        return self.subwords.vector(word) if self.subwords is not None else None

    def cosine(self, word: str, other: str) -> float:
        """Cosine of two words' vectors, in [-1, 1]; 0 if one has none."""
        first, second = self.vector(word), self.vector(other)
        if first is None or second is None:
            return 0.0
        lengths = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
        return float(first @ second) / max(lengths, 1e-12)

    def cosines(self, word: str, others: Sequence[str]) -> list[float]:
        """Cosines [n] of a word and others, as of `cosine`."""
        return [self.cosine(word, other) for other in others]

    def near(self, word: str, k: int, min_cosine: float) -> dict[str, float]:
        """The k frequent words nearest to a word, with their cosines, of at least `min_cosine`."""
        vector = self.vector(word)
        if vector is None:
            return {}
        length = max(float(np.linalg.norm(vector)), 1e-12)
        cosines = self.vectors[:NEAR_WORDS] @ vector / (self._norms * length)
        same = [self._row[other] for other in self.resolve(word)]
        cosines[[row for row in same if row < len(cosines)]] = -1
        rows = np.flatnonzero(cosines >= min_cosine)
        best = rows[np.argsort(-cosines[rows], kind="stable")[:k]].tolist()
        return {self.words[row]: float(cosines[row]) for row in best}

    def spellings(self, word: str) -> list[str]:
        """Common words one edit away from a word that cannot be resolved; frequent first."""
        if not MIN_SUGGESTED <= len(word) <= MAX_CORRECTED or self.resolve(word):
            return []
        return self._within(word, 1)

    @functools.cached_property
    def _norms(self) -> Array:
        """Lengths of the vectors of `near`'s candidates."""
        lengths: Array = np.linalg.norm(self.vectors[:NEAR_WORDS], axis=1)
        return np.asarray(np.maximum(lengths, 1e-12), dtype=np.float32)

    def unit(self) -> WordVectors:
        """The same words with vectors of length 1."""
        norms = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        scaled = (self.vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        return WordVectors(self.words, scaled, self.subwords)

    def keep(self, count: int, also: Iterable[str] = ()) -> WordVectors:
        """Only the `count` most frequent words, and words of `also`."""
        words = {*self.words[:count], *(word for word in also if word in self._row)}
        rows = sorted(self._row[word] for word in words)
        return WordVectors([self.words[row] for row in rows], self.vectors[rows], self.subwords)
