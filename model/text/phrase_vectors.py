"""Vectors of whole phrases, by an encoder to which no phrase is unknown. Axes: F_w = vector."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from cachetools import LRUCache

from earmark.model.core.arrays import Array
from earmark.model.text.phrase import MAX_LETTERS
from earmark.model.text.word_vectors import WordVectors

CACHED_PHRASES = 32_768


class PhraseVectors(WordVectors):
    """Vectors of phrases, and a list of English words, for what needs to know whether a word is
    one: plurals, compounds, spellings in word search. Safe to share between threads.

    `words`: in order of frequency; `encode`: phrases → unit vectors [n, F_w].
    """

    def __init__(
        self, words: Sequence[str], dim: int, encode: Callable[[Sequence[str]], Array]
    ) -> None:
        super().__init__(words, np.zeros((len(words), 0), dtype=np.float32))
        self._dim, self._encode = dim, encode
        self._cache: LRUCache[str, Array] = LRUCache(CACHED_PHRASES)
        self._cache_lock = threading.Lock()

    @property
    def dim(self) -> int:
        """F_w, the size of a vector."""
        return self._dim

    def vectors_of(self, phrases: Sequence[str]) -> Array:
        """Unit vectors [n, F_w] of phrases; those that are not cached are one batch.

        Of a phrase its first 200 letters count, in lower case. A hyphen separates words.
        """
        texts = [_plain(phrase) for phrase in phrases]
        with self._cache_lock:
            found = {text: self._cache[text] for text in texts if text in self._cache}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= zip(missing, self._encode(missing), strict=True)
            with self._cache_lock:
                # Copies, as a row would keep its whole batch in memory.
                self._cache.update({text: found[text].copy() for text in missing})
        if not texts:
            return np.zeros((0, self._dim), dtype=np.float32)
        return np.stack([found[text] for text in texts])

    def vector(self, word: str) -> Array:
        """The unit vector [F_w] of a word or phrase."""
        return np.asarray(self.vectors_of([word])[0], dtype=np.float32)

    def certain_vector(self, word: str) -> Array:
        """The same: no phrase is guessed."""
        return self.vector(word)

    def guess(self, _word: str) -> str:
        """Empty: the encoder reads each word as it is."""
        return ""

    def cosines(self, word: str, others: Sequence[str]) -> list[float]:
        """Cosines [n] of a phrase and others, all in one batch."""
        if not others:
            return []
        vectors = self.vectors_of([word, *others])
        return [float(cosine) for cosine in vectors[1:] @ vectors[0]]

    def near(self, _word: str, _k: int, _min_cosine: float) -> dict[str, float]:
        """Empty: the words have no vectors of their own to search in."""
        return {}

    def unit(self) -> PhraseVectors:
        """The same: all vectors have length 1."""
        return self

    def keep(self, count: int, also: Iterable[str] = ()) -> PhraseVectors:
        """Only the `count` most frequent words, and words of `also`."""
        kept = {*self.words[:count], *(word for word in also if word in self)}
        return PhraseVectors([word for word in self.words if word in kept], self._dim, self._encode)


def _plain(phrase: str) -> str:
    """What is encoded of a phrase; a lone surrogate, which has no UTF-8, becomes "?"."""
    text = phrase[:MAX_LETTERS].lower().replace("-", " ").strip()
    return text.encode(errors="replace").decode()
