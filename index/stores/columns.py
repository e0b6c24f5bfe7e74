"""What clips are filtered by and their words, as columns in memory.

A filter becomes a mask over positions, words a score for each.

Conventions: n clips at positions 0 to n − 1, in the order of a segment's vectors. Licences,
sources, tags and words are numbers into lists of names; tags are in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.stemming import stems
from earmark.index.types import Filter
from earmark.model.core.arrays import Array

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]

DESCRIBED = 0.5  # of a word's weight, where only the description holds it


@dataclass(frozen=True)
class Names:
    """A column of names: `codes` [m] into `names`, each name once."""

    codes: Codes
    names: tuple[str, ...]

    @staticmethod
    def of(values: Iterable[str]) -> Names:
        """The column of these values."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(value, len(numbers)) for value in values]
        return Names(np.array(codes, dtype=np.int32), tuple(numbers))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Each name's code."""
        return {name: code for code, name in enumerate(self.names)}

    def joined(self, other: Names) -> Names:
        """This column and another below it."""
        numbers = dict(self.numbers)
        moved = [numbers.setdefault(name, len(numbers)) for name in other.names]
        codes = np.array(moved, dtype=np.int32)[other.codes] if len(other.codes) else other.codes
        return Names(np.concatenate([self.codes, codes]), tuple(numbers))

    def among(self, values: Sequence[str]) -> Mask:
        """[m], True where the value is one of these."""
        wanted = [self.numbers[value] for value in values if value in self.numbers]
        return np.isin(self.codes, wanted)


@dataclass(frozen=True)
class Lists:
    """A column of lists of names: those of all clips, clip by clip, and where each clip's end."""

    values: Names
    ends: npt.NDArray[np.int64]

    @staticmethod
    def of(lists: Iterable[Sequence[str]]) -> Lists:
        """The column of these lists."""
        ends: list[int] = []

        def flat() -> Iterator[str]:
            total = 0
            for each in lists:
                total += len(each)
                ends.append(total)
                yield from each

        values = Names.of(flat())
        return Lists(values, np.array(ends, dtype=np.int64))

    def joined(self, other: Lists) -> Lists:
        """This column and another below it."""
        ends = np.concatenate([self.ends, len(self.values.codes) + other.ends])
        return Lists(self.values.joined(other.values), ends)

    def kept(self, keep: Mask) -> Lists:
        """Those clips only."""
        counts = np.diff(self.ends, prepend=0)
        codes = self.values.codes[np.repeat(keep, counts)]
        return Lists(Names(codes, self.values.names), np.cumsum(counts[keep], dtype=np.int64))

    @cached_property
    def _by_name(self) -> tuple[Codes, npt.NDArray[np.int64]]:
        """Positions of clips ordered by name, and where each name's end."""
        order = np.argsort(self.values.codes, kind="stable")
        counts = np.diff(self.ends, prepend=0)
        clips = np.repeat(np.arange(len(self.ends), dtype=np.int32), counts)
        each = np.bincount(self.values.codes, minlength=len(self.values.names))
        return clips[order], np.cumsum(each)

    def having(self, name: str) -> Codes:
        """Positions of the clips whose list holds a name, ascending."""
        code = self.values.numbers.get(name)
        clips, ends = self._by_name
        if code is None:
            return clips[:0]
        return clips[ends[code - 1] if code else 0 : ends[code]]


@dataclass(frozen=True)
class Columns:
    """Of n clips: `durations` [n] in seconds, tags, and the stems of their words.

    `words`: of titles and tags; `described`: those that only descriptions hold.
    """

    durations: Array
    licences: Names
    sources: Names
    tags: Lists
    words: Lists
    described: Lists

    @staticmethod
    def of(changes: Changes) -> Columns:
        """Of the clips that were added or changed."""
        words = [
            stems(f"{title} {tags}")
            for title, tags in zip(changes.titles, changes.tags, strict=True)
        ]
        described = [
            [each for each in stems(text) if each not in own]
            for text, own in zip(changes.descriptions, words, strict=True)
        ]
        return Columns(
            changes.durations.astype(np.float32),
            Names.of(changes.licences),
            Names.of(changes.sources),
            Lists.of([list(dict.fromkeys(text.lower().split())) for text in changes.tags]),
            Lists.of([list(each) for each in words]),
            Lists.of(described),
        )

    def __len__(self) -> int:
        return len(self.durations)

    def joined(self, other: Columns) -> Columns:
        """These clips and others after them."""
        return Columns(
            np.concatenate([self.durations, other.durations]),
            self.licences.joined(other.licences),
            self.sources.joined(other.sources),
            self.tags.joined(other.tags),
            self.words.joined(other.words),
            self.described.joined(other.described),
        )

    def kept(self, keep: Mask) -> Columns:
        """Those clips only."""
        return Columns(
            self.durations[keep],
            Names(self.licences.codes[keep], self.licences.names),
            Names(self.sources.codes[keep], self.sources.names),
            self.tags.kept(keep),
            self.words.kept(keep),
            self.described.kept(keep),
        )

    def holders(self, stem: str) -> int:
        """Clips that hold a word."""
        return len(self.words.having(stem)) + len(self.described.having(stem))

    def matching(self, weights: Mapping[str, float]) -> Array:
        """[n], the sum of the weights of the stems that a clip holds; half of those that only its
        description does."""
        found = np.zeros(len(self), dtype=np.float32)
        for stem, weight in weights.items():
            found[self.words.having(stem)] += weight
            found[self.described.having(stem)] += DESCRIBED * weight
        return found

    def nbytes(self) -> int:
        """About the memory that it takes, in bytes."""
        lists = (self.tags, self.words, self.described)
        # A code and a place in the order by name for each.
        return 12 * len(self) + sum(each.ends.nbytes + 8 * len(each.values.codes) for each in lists)

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes; `where.rows`, `up_to` and `but` are not
        looked at."""
        passing = np.ones(len(self), dtype=np.bool_)
        with np.errstate(over="ignore"):  # too large for float32 is infinite
            if where.min_duration is not None:
                passing &= self.durations >= np.float32(where.min_duration)
            if where.max_duration is not None:
                passing &= self.durations <= np.float32(where.max_duration)
        for tag in where.all_tags:
            passing &= self._having([tag])
        if where.any_tags:
            passing &= self._having(where.any_tags)
        if where.no_tags:
            passing &= ~self._having(where.no_tags)
        if where.licences:
            passing &= self.licences.among(where.licences)
        if where.sources:
            passing &= self.sources.among(where.sources)
        return passing

    def _having(self, tags: Iterable[str]) -> Mask:
        """[n], True where a clip has one of the tags."""
        found = np.zeros(len(self), dtype=np.bool_)
        for tag in tags:
            found[self.tags.having(tag.lower())] = True
        return found
