"""Names of files that every common file system takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

MAX_CHARACTERS = 120  # of a name, without its suffix: file systems take 255 bytes

_SUFFIX = re.compile(r"(\.[\w+]{1,10}){1,2}", re.ASCII)
_UNFIT = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')  # no part of a name on some system
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no name on Windows
MAX_BYTES = 200  # of a name in UTF-8, without its suffix


def fit_suffix(suffix: str) -> str:
    """The suffix of a file, such as `.wav`; empty for one that is not plain."""
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def fit_name(title: str, suffix: str = "") -> str:
    """A name, without its suffix, that is like a title; empty where nothing of it is left."""
    if title.lower().endswith(suffix):
        title = title[: len(title) - len(suffix)]
    return " ".join(_UNFIT.sub(" ", title).split())[:MAX_CHARACTERS].strip(" .")


def distinct_names(titles: Iterable[tuple[str, str]], fallback: str) -> Iterator[str]:
    """A file's name for each title and suffix, all distinct, also without regard to case.

    `fallback`: the name where nothing of a title is left.
    """
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for title, own_suffix in titles:
        suffix = fit_suffix(own_suffix)
        base = fit_name(title, suffix) or fallback
        base = base.encode()[:MAX_BYTES].decode(errors="ignore").strip(" .") or fallback
        base = f"{base}_" if _DEVICE.fullmatch(base) else base
        name, key = f"{base}{suffix}", _key(f"{base}{suffix}")
        while _key(name) in taken:
            numbers[key] = numbers.get(key, 1) + 1
            name = f"{base} {numbers[key]}{suffix}"
        taken.add(_key(name))
        yield name


def _key(name: str) -> str:
    """Equal for names that are one on some file system."""
    return unicodedata.normalize("NFKD", name).casefold()
