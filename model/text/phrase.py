"""Text → the phrase and the words that a sentence encoder reads, in any language and script."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from earmark.model.text.normalize import STOP_WORDS

MAX_LETTERS = 200  # of a phrase: a long sentence
MAX_IGNORED = 60  # letters of a word that is named as ignored
MAX_READ = 20 * MAX_LETTERS  # letters: 10,000 cost no more than these

_SEPARATORS = re.compile(r"[\s,;/|_，、；。]+")


@dataclass(frozen=True)
class Phrase:
    """A text in lower case with single spaces, cut after a word.

    `words`: those of the phrase that carry meaning, without punctuation around them and repeats;
    English stop-words only where there is nothing else. `ignored`: what holds no letter or digit,
    and what was cut off.
    """

    text: str
    words: list[str]
    ignored: list[str]


def read_phrase(text: str) -> Phrase:
    """The phrase of a text; "" where the text has neither letters nor digits."""
    pieces, rest = _split(text)
    taken: list[str] = []
    ignored: list[str] = []
    room = MAX_LETTERS
    for piece in pieces:
        word = _stripped(unicodedata.normalize("NFC", piece.lower()))
        if word and (len(word) <= room or not taken):
            taken.append(_stripped(word[:room]))
            ignored += [word[room:][:MAX_IGNORED]] if len(word) > room else []
            room -= len(taken[-1]) + 1
        else:
            ignored.append(piece[:MAX_IGNORED])
    ignored += [rest] if rest else []
    distinct = dict.fromkeys(taken)
    words = [word for word in distinct if word not in STOP_WORDS] or list(distinct)
    return Phrase(" ".join(taken), words, ignored)


def _split(text: str) -> tuple[list[str], str]:
    """The pieces of the letters that are read, and how what follows them begins."""
    text = text[: MAX_READ + MAX_IGNORED].encode(errors="replace").decode()  # lone surrogates: "?"
    pieces, rest = _SEPARATORS.split(text[:MAX_READ]), text[MAX_READ:]
    if rest and len(pieces) > 1:
        rest = pieces.pop() + rest  # no part of a word stands for the word
    return [piece for piece in pieces if piece], rest.strip()[:MAX_IGNORED]


def _stripped(word: str) -> str:
    """From its first to its last letter or digit, with the combining marks of the last."""
    kinds = [unicodedata.category(character)[0] for character in word]
    bearers = [place for place, kind in enumerate(kinds) if kind in "LN"]
    if not bearers:
        return ""
    end = bearers[-1] + 1
    while end < len(word) and kinds[end] == "M":
        end += 1
    return word[bearers[0] : end]
