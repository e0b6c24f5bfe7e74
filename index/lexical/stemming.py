"""Words as they are compared: lower case, without accents, cut to their stems.

"Barking dogs" and "dog barks" hold the same two.
"""

from __future__ import annotations

import functools
import threading

import snowballstemmer

from earmark.model.text.normalize import STOP_WORDS, tokens

_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()  # it keeps the word in itself


@functools.lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The stem of one token; a token with digits is its own."""
    if not word.isalpha():
        return word
    with _stemming:
        return str(_stemmer.stemWord(word))


def stems(text: str) -> dict[str, str]:
    """The stems of a text, each once, with the first word that has it; stop-words left out.

    Parts of compounds count for themselves.
    """
    found: dict[str, str] = {}
    for word in tokens(text.replace("-", " ")):
        if word not in STOP_WORDS:
            found.setdefault(stem(word), word)
    return found
