"""What people type, made fit to be kept: one-line texts, descriptions, tags.

Tags are kept separated by spaces: one that holds spaces becomes a compound ("metal roof" →
"metal-roof"). Signs that print nothing, or turn the direction of the text around, are left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath, PureWindowsPath

TITLE_LETTERS = 200  # of a file's name

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LEFT_OUT = frozenset(("Cc", "Cs"))
_BETWEEN_TAGS = re.compile(r"[;,\s]+")


def line(text: str) -> str:
    """A text on one line, without spaces around it."""
    return " ".join(_printing(text.replace("\0", " ")).split())


def lines(text: str) -> str:
    """A text that keeps its line breaks."""
    return "\n".join(" ".join(_printing(each).split()) for each in text.splitlines()).strip()


def tag(text: str) -> str:
    """One tag; empty where nothing of it can be kept."""
    return "-".join(_printing(text.replace(";", " ")).split())


def tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags, each once, in their order."""
    return tuple(dict.fromkeys(kept for text in texts if (kept := tag(text))))


def listed_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags of texts that list them, separated by spaces, commas or semicolons."""
    return tags(each for text in texts for each in _BETWEEN_TAGS.split(text))


def title_of(file_name: str) -> str:
    """The title that a client's name of a file stands for: text, never a path. May be empty."""
    name = PureWindowsPath(PurePosixPath(line(file_name)).name).stem
    return line(name.replace("_", " ").replace("-", " "))[:TITLE_LETTERS].strip(" .")


def _printing(text: str) -> str:
    return "".join(
        " " if each.isspace() else each
        for each in text
        if each.isspace() or not (each in _TURNING or unicodedata.category(each) in _LEFT_OUT)
    )
