"""Text → the phrase and the words that a sentence encoder reads, in any language and script."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from earmark.model.text.normalize import STOP_WORDS

MAX_LETTERS = 200  # of a phrase: a long sentence
MAX_IGNORED = 60  # letters of a word that is named as ignored


@dataclass(frozen=True)
class Phrase:
    """A text in lower case with single spaces, cut after a word.

    `words`: those of the phrase that carry meaning, without punctuation and repeats; English
    stop-words only where there is nothing else. `ignored`: what holds no letter or digit, and what
    was cut off.
    """

    text: str
    words: list[str]
    ignored: list[str]


def read_phrase(text: str) -> Phrase:
    """The phrase of a text; "" where the text has neither letters nor digits."""
    pieces: list[str] = []
    ignored: list[str] = []
    room = MAX_LETTERS
    bounded = text[: 20 * MAX_LETTERS]  # 10,000 letters cost no more than these
    for piece in bounded.encode(errors="replace").decode().split():  # lone surrogates: "?"
        word = _stripped(unicodedata.normalize("NFC", piece).lower())
        if word and (len(word) <= room or not pieces):
            pieces.append(word[:room])
            room -= len(pieces[-1]) + 1
        else:
            ignored.append(piece[:MAX_IGNORED])
    distinct = dict.fromkeys(pieces)
    words = [word for word in distinct if word not in STOP_WORDS] or list(distinct)
    return Phrase(" ".join(pieces), words, ignored)


def _stripped(word: str) -> str:
    """Without punctuation, symbols and control characters at its ends; combining marks stay."""
    start, end = 0, len(word)
    while start < end and _is_edge(word[start]):
        start += 1
    while end > start and _is_edge(word[end - 1]):
        end -= 1
    return word[start:end]


def _is_edge(character: str) -> bool:
    return unicodedata.category(character)[0] in "PSCZ"
