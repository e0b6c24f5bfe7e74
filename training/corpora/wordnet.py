"""WordNet's `dict` folder as it is published: its synsets, and the senses of each word.

Format: wndb(5WN). `data.POS` holds a synset a line, which begins with its offset in the file;
`index.POS` a lemma a line with the offsets of its senses, the most frequent first. Lemmas are in
lower case here, the words of collocations joined by "_" as there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from earmark.training.errors import CorpusError

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

_MARKER = re.compile(r"\((?:a|p|ip)\)$")  # where an adjective may stand
_EXAMPLE = re.compile(r'"[^"]*"?')

Said = TypeVar("Said")

Key = tuple[str, str]  # part of speech (n, v, a, r) and offset


@dataclass(frozen=True)
class Pointer:
    """A relation to another synset; of the words `source` and `target` (from 1), 0: of all."""

    symbol: str
    to: Key
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

    synsets: dict[Key, Synset]
    senses: dict[str, dict[str, tuple[Key, ...]]]


def read(folder: Path) -> WordNet:
    """WordNet from its `dict` folder. Raises CorpusError."""
    synsets: dict[Key, Synset] = {}
    senses: dict[str, dict[str, tuple[Key, ...]]] = {}
    for part, name in PARTS.items():
        for offset, synset in _parsed(folder / f"data.{name}", _synset):
            synsets[part, offset] = synset
        for lemma, offsets in _parsed(folder / f"index.{name}", _senses):
            senses.setdefault(lemma, {})[part] = tuple((part, each) for each in offsets)
    for lemma, parts in senses.items():
        if not all(key in synsets for keys in parts.values() for key in keys):
            raise CorpusError(f"{folder}: {lemma}: a sense of it is in no data file")
    return WordNet(synsets, senses)


def _parsed(file: Path, parse: Callable[[str], Said]) -> Iterator[Said]:
    """What the lines after the licence say; its lines begin with two spaces."""
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
    """(its offset, the synset) of a line of a data file."""
    said, _, gloss = line.partition("|")
    fields = said.split()
    count = int(fields[3], 16)
    words = tuple(_MARKER.sub("", word).lower() for word in fields[4 : 4 + 2 * count : 2])
    first = 5 + 2 * count
    pointers = []
    for place in range(first, first + 4 * int(fields[first - 1]), 4):
        symbol, offset, part, both = fields[place : place + 4]
        pointers.append(Pointer(symbol, (part, offset), int(both[:2], 16), int(both[2:], 16)))
    return fields[0], Synset(words, tuple(pointers), _EXAMPLE.sub(" ", gloss).strip(" ;\n"))


def _senses(line: str) -> tuple[str, list[str]]:
    """(the lemma, the offsets of its senses) of a line of an index file."""
    fields = line.split()
    count = int(fields[2])
    if count < 1 or len(fields) < 6 + count:
        raise ValueError(line)
    return fields[0], fields[-count:]
