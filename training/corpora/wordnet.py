"""Reads WordNet's published `dict` folder: its synsets, and the senses of each word.

Format: wndb(5WN). Each line of `data.POS` is a synset and begins with its offset in the file; each
line of `index.POS` is a lemma with the offsets of its senses, the most frequent first. Lemmas
become lower case; the words of a collocation stay joined by "_".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from earmark.training.errors import CorpusError

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # an adjective's syntactic position
_EXAMPLE = re.compile(r'"[^"]*"?')

Parsed = TypeVar("Parsed")

SynsetKey = tuple[str, str]  # part of speech (n, v, a, r) and offset


@dataclass(frozen=True)
class Pointer:
    """A relation to another synset, between the words `source` and `target` (from 1; 0: all)."""

    symbol: str
    to: SynsetKey
    source: int
    target: int


@dataclass(frozen=True)
class Synset:
    """Words of one meaning, what it is related to, and its gloss without the examples."""

    words: tuple[str, ...]
    pointers: tuple[Pointer, ...]
    gloss: str


@dataclass(frozen=True)
class WordNet:
    """All synsets, and by lemma and part of speech the keys of its senses, most frequent first."""

    synsets: dict[SynsetKey, Synset]
    senses: dict[str, dict[str, tuple[SynsetKey, ...]]]


def read(folder: Path) -> WordNet:
    """WordNet from its `dict` folder. Raises CorpusError."""
    synsets: dict[SynsetKey, Synset] = {}
    senses: dict[str, dict[str, tuple[SynsetKey, ...]]] = {}
    for part, name in PARTS.items():
        for offset, synset in _parse_lines(folder / f"data.{name}", _synset):
            synsets[part, offset] = synset
        for lemma, offsets in _parse_lines(folder / f"index.{name}", _senses):
            senses.setdefault(lemma, {})[part] = tuple((part, offset) for offset in offsets)
    for lemma, parts in senses.items():
        if not all(key in synsets for keys in parts.values() for key in keys):
            raise CorpusError(f"{folder}: {lemma}: a sense of it is in no data file")
    return WordNet(synsets, senses)


def _parse_lines(file: Path, parse: Callable[[str], Parsed]) -> Iterator[Parsed]:
    """The parsed lines after the licence, whose lines begin with two spaces."""
    try:
        with file.open(encoding="latin-1") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith("  ") or not line.strip():
                    continue
                try:
                    parsed = parse(line)
                except (ValueError, IndexError) as error:
                    raise CorpusError(f"{file}:{number}: not in WordNet's format") from error
                yield parsed
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error


def _synset(line: str) -> tuple[str, Synset]:
    """(offset, synset) of a line of a data file."""
    data, _, gloss = line.partition("|")
    fields = data.split()
    count = int(fields[3], 16)
    words = tuple(_MARKER.sub("", word).lower() for word in fields[4 : 4 + 2 * count : 2])
    first = 5 + 2 * count
    pointers = []
    for place in range(first, first + 4 * int(fields[first - 1]), 4):
        symbol, offset, part, words_hex = fields[place : place + 4]
        source, target = int(words_hex[:2], 16), int(words_hex[2:], 16)
        pointers.append(Pointer(symbol, (part, offset), source, target))
    return fields[0], Synset(words, tuple(pointers), _EXAMPLE.sub(" ", gloss).strip(" ;\n"))


def _senses(line: str) -> tuple[str, list[str]]:
    """(lemma, offsets of its senses) of a line of an index file."""
    fields = line.split()
    count = int(fields[2])
    if count < 1 or len(fields) < 6 + count:
        raise ValueError(line)
    return fields[0], fields[-count:]
