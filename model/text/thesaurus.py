"""Words → related words: synonyms, and more general or more specific words.

A related word has a weight in (0, 1); the word itself would have 1. File format: gzip of UTF-8
lines; a line is a word and its related words, separated by tabs; a related word is followed by a
space and its weight in hundredths, heaviest first. Words are in lower case; compounds have hyphens.
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
INFLECTION_WEIGHT = 0.9  # of the base form: "barking" → "bark"

# Endings of inflected verbs and adjectives, and what replaces them in the base form.
_ENDINGS = {"ing": ("", "e"), "ed": ("", "e"), "er": ("", "e"), "est": ("", "e"), "s": ("",)}
_MIN_BASE = 3  # letters


class Thesaurus:
    """Words and their related words. Safe to share between threads."""

    def __init__(self, lines: Mapping[str, str]) -> None:
        self._lines = lines  # by word; parsed on demand
        self.related = functools.lru_cache(maxsize=8_192)(self._related)

    @classmethod
    def from_weights(cls, related: Mapping[str, Mapping[str, float]]) -> Thesaurus:
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
        """A word's related words with their weights, heaviest first. Cached as `related`."""
        weights = dict(self._entries(word))
        for base in self._bases(word):
            weights[base] = max(weights.get(base, 0.0), INFLECTION_WEIGHT)
            for other, weight in self._entries(base):
                weights[other] = max(weights.get(other, 0.0), INFLECTION_WEIGHT * weight)
        weights.pop(word, None)
        return dict(sorted(weights.items(), key=lambda pair: (-pair[1], pair[0])))

    def _entries(self, word: str) -> Iterator[tuple[str, float]]:
        for field in filter(None, self._lines.get(word, "").split("\t")):
            other, _, hundredths = field.rpartition(" ")
            yield other, int(hundredths) / 100

    def _bases(self, word: str) -> list[str]:
        """Words of the thesaurus that this word may be an inflection of."""
        bases = [singular(word, self._lines)]
        for ending, others in _ENDINGS.items():
            base = word.removesuffix(ending)
            if base == word or len(base) < _MIN_BASE:
                continue
            bases += [base + other for other in others]
            if len(base) > _MIN_BASE and base[-1] == base[-2]:  # "drumming"
                bases.append(base[:-1])
        return [base for base in dict.fromkeys(bases) if base != word and base in self._lines]


def save(file: Path, related: Mapping[str, Mapping[str, float]]) -> None:
    """Write a thesaurus atomically; the same words give the same bytes. Raises OSError."""
    lines = (f"{word}\t{rest}" for word, rest in sorted(_lines(related)))
    write_whole(file, [gzip.compress("\n".join(lines).encode(), mtime=0)])


def _lines(related: Mapping[str, Mapping[str, float]]) -> Iterable[tuple[str, str]]:
    for word, others in related.items():
        hundredths = [(max(1, round(100 * weight)), other) for other, weight in others.items()]
        ordered = sorted(hundredths, key=lambda pair: (-pair[0], pair[1]))
        yield word, "\t".join(f"{other} {weight}" for weight, other in ordered)


@functools.lru_cache(maxsize=1)
def load_thesaurus() -> Thesaurus:
    """The thesaurus that ships with Earmark; read once."""
    return Thesaurus.load(Path(str(files("earmark.model.wordnet"))) / FILE_NAME)
