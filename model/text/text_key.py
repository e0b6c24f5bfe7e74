"""Texts as they are kept, and as they are compared.

Kept is NFC (an accent and its letter are one character), without characters that show nothing:
soft hyphens, zero-width spaces, byte-order marks, marks and controls of the text's direction. The
two joiners, U+200C and U+200D, change what is shown in Persian, in scripts of India and in emoji:
they stay after a letter, mark or symbol that is not Latin, and go elsewhere.

Compared is the key: the same with its case folded. `Straße`, `STRASSE` and `strasse` are one text,
and so is `café` with one character for its last letter or two. Accents count.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping

_INVISIBLE = dict.fromkeys(
    (
        *(0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF),
        *(*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)),
    )
)
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    """A text in NFC, without characters that show nothing."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text.translate(_INVISIBLE))
    if not any(joiner in text for joiner in _JOINERS):
        return text
    return unicodedata.normalize("NFC", _without_idle_joiners(text))


def _without_idle_joiners(text: str) -> str:
    """A text in NFC without the joiners that change nothing."""
    characters: list[str] = []
    bearer = ""  # the last character that is no mark and no joiner
    for character in text:
        if character not in _JOINERS:
            characters.append(character)
            if not unicodedata.category(character).startswith("M"):
                bearer = character
        elif _is_joined(bearer) and characters[-1] not in _JOINERS:
            characters.append(character)
    return "".join(characters)


def _is_joined(character: str) -> bool:
    """Whether a joiner after this character, or after its marks, changes what is shown."""
    return (
        not character.isascii()
        and unicodedata.category(character)[0] in "LS"
        and not unicodedata.name(character, "").startswith("LATIN")
    )


def text_key(text: str) -> str:
    """What is equal for texts that count as the same."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", visible(text).casefold())


def distinct(texts: Iterable[str]) -> list[str]:
    """The texts in their order, without those that count as the same as an earlier one."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(text_key(text), text)
    return list(first.values())


def usual_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Each of these texts → the most frequent one of those that count as the same as it."""
    usual: dict[str, str] = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        usual.setdefault(text_key(text), text)
    return {text: usual[text_key(text)] for text in counts}
