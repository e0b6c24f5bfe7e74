"""Words as they are compared: lower case, without accents, cut to their stems.

"Barking dogs" and "dog barks" hold the same two. Scripts that are written without spaces are words
of their own beside others: "4K雨音" is two.
"""

from __future__ import annotations

import functools
import re
import threading
import unicodedata

import snowballstemmer

from earmark.model.text.normalize import STOP_WORDS
from earmark.model.text.text_key import visible

_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()  # it keeps the word in itself

_ASCII_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*", re.ASCII)
_APOSTROPHES = str.maketrans("", "", "'’")
_VOICING = "\u3099\u309a"  # marks of kana: か and が are two letters
# Letters and marks of scripts without spaces, as ranges of code points: Thai and Lao, Burmese,
# Khmer, Tai, Chinese and Japanese. Korean has spaces, but endings and compounds without.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u1100-\u11ff\uac00-\ud7ff"
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u303b\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def tokens(text: str) -> list[str]:
    """Words of a text in lower case, without accents or punctuation; a hyphen separates words.

    Case is folded: "Straße" and "STRASSE" are one word. Vowels that are written as marks stay.
    """
    if text.isascii():
        plain_words = _ASCII_WORD.findall(text.lower())
        return [word.replace("'", "") for word in plain_words] if "'" in text else plain_words
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", visible(text)).casefold())
    plain = "".join(char for char in plain if not unicodedata.combining(char) or char in _VOICING)
    words, runs = _patterns()
    found: list[str] = []
    for word in words.findall(unicodedata.normalize("NFC", plain)):
        found += runs.findall(word.translate(_APOSTROPHES))
    return found


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """(letters and digits, with the marks after them, and apostrophes inside; of a word, what is
    written without spaces, or what is not)."""
    all_marks = (
        char
        for char in map(chr, range(0x300, 0x20000))
        if unicodedata.category(char) in ("Mn", "Mc")
        and not unicodedata.name(char, "").startswith(("VARIATION", "MONGOLIAN FREE VARIATION"))
        and (not unicodedata.combining(char) or char in _VOICING)
    )
    marks = "".join(all_marks)
    letters = rf"(?:[^\W_][{marks}]*)+"
    run, other = (f"[{which}{_UNSPACED}][{marks}]*" for which in ("", "^"))
    return re.compile(rf"{letters}(?:['’]{letters})*"), re.compile(f"(?:{run})+|(?:{other})+")


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script without spaces."""
    return not word.isascii() and _IS_UNSPACED.match(word) is not None


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
    for word in tokens(text):
        if word not in STOP_WORDS:
            found.setdefault(stem(word), word)
    return found
