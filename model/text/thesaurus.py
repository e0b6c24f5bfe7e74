"""Words → related words: what a sound may be called that nobody calls as it was asked for.

Conventions: a weight, in (0, 1), says how much a related word counts where the word itself would
count 1. Format of the file: gzip of UTF-8 lines, a word and its related words, tabs between them;
a related word is followed by a space and its weight in hundredths, the heaviest come first. Words
are in lower case; compounds have hyphens.
"""

from __future__ import annotations

import functools
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path

from earmark.model.core.atomic_write import write_whole
from earmark.model.core.errors import WordsError
from earmark.model.text.normalize import singular

FILE_NAME = "related.tsv.gz"
INFLECTED = 0.9  # what the base of an inflected word counts: "barking", bark

# What an inflected verb, or adjective, may end in, and its base.
_ENDINGS = {"ing": ("", "e"), "ed": ("", "e"), "er": ("", "e"), "est": ("", "e"), "s": ("",)}
_MIN_BASE = 3  # letters


class Thesaurus:
    """Words and their related words. Safe to share between threads."""

    def __init__(self, lines: Mapping[str, str]) -> None:
        self._lines = lines  # by word; taken apart when they are asked for, which few are
        self.related = functools.lru_cache(maxsize=8_192)(self._related)

    @classmethod
    def of(cls, related: Mapping[str, Mapping[str, float]]) -> Thesaurus:
        """From words and the weights of their related words."""
        return cls(dict(_lines(related)))

    @classmethod
    def load(cls, file: Path) -> Thesaurus:
        """From a file. Raises WordsError."""
        try:
            text = gzip.decompress(file.read_bytes()).decode()
        except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
            raise WordsError(f"thesaurus {file}: cannot be read ({error})") from error
        return cls(
            {word: rest for word, _, rest in (line.partition("\t") for line in text.split("\n"))}
        )

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, word: object) -> bool:
        return word in self._lines

    def _related(self, word: str) -> Mapping[str, float]:
        """The weights of a word's related words, the heaviest first; memoised as `related`."""
        found = dict(self._own(word))
        for base in self._bases(word):
            found[base] = max(found.get(base, 0.0), INFLECTED)
            for other, weight in self._own(base):
                found[other] = max(found.get(other, 0.0), INFLECTED * weight)
        found.pop(word, None)
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    def _own(self, word: str) -> Iterator[tuple[str, float]]:
        for field in filter(None, self._lines.get(word, "").split("\t")):
            other, _, hundredths = field.rpartition(" ")
            yield other, int(hundredths) / 100

    def _bases(self, word: str) -> list[str]:
        """Words of the thesaurus that this may be a form of, but for itself."""
        found = [singular(word, self._lines)]
        for ending, others in _ENDINGS.items():
            base = word.removesuffix(ending)
            if base == word or len(base) < _MIN_BASE:
                continue
            found += [base + other for other in others]
            if len(base) > _MIN_BASE and base[-1] == base[-2]:  # "drumming"
                found.append(base[:-1])
        return [base for base in dict.fromkeys(found) if base != word and base in self._lines]


def save(file: Path, related: Mapping[str, Mapping[str, float]]) -> None:
    """Write a file whole or not at all, the same bytes for the same words. Raises OSError."""
    lines = (f"{word}\t{rest}" for word, rest in sorted(_lines(related)))
    write_whole(file, [gzip.compress("\n".join(lines).encode(), mtime=0)])


def _lines(related: Mapping[str, Mapping[str, float]]) -> Iterable[tuple[str, str]]:
    for word, others in related.items():
        hundredths = [(max(1, round(100 * weight)), other) for other, weight in others.items()]
        ordered = sorted(hundredths, key=lambda pair: (-pair[0], pair[1]))
        yield word, "\t".join(f"{other} {weight}" for weight, other in ordered)


@functools.lru_cache(maxsize=1)
def load_thesaurus() -> Thesaurus:
    """The one that ships, read when it is first asked for."""
    return Thesaurus.load(Path(str(files("earmark.model.wordnet"))) / FILE_NAME)
