"""What clips are filtered by, as columns in memory: a filter becomes a mask over positions.

Conventions: n clips at positions 0 to n − 1, in the order of a segment's vectors. Licences,
sources and tags are numbers into lists of names; tags are in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from index.filters import Filter
from index.records import Array

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]


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
class Columns:
    """`durations` [n] in seconds; `tags`: those of all clips, clip by clip, `tag_ends` [n]."""

    durations: Array
    licences: Names
    sources: Names
    tags: Names
    tag_ends: npt.NDArray[np.int64]

    @staticmethod
    def of(
        durations: Array, licences: Sequence[str], sources: Sequence[str], tags: Sequence[str]
    ) -> Columns:
        """Of clips' values; `tags` as the catalogue holds them, separated by spaces."""
        own = [text.lower().split() for text in tags]
        ends = np.cumsum([len(each) for each in own], dtype=np.int64)
        flat = Names.of(tag for each in own for tag in each)
        return Columns(
            durations.astype(np.float32), Names.of(licences), Names.of(sources), flat, ends
        )

    def __len__(self) -> int:
        return len(self.durations)

    def joined(self, other: Columns) -> Columns:
        """These clips and others after them."""
        tags = self.tags.joined(other.tags)
        return Columns(
            np.concatenate([self.durations, other.durations]),
            self.licences.joined(other.licences),
            self.sources.joined(other.sources),
            tags,
            np.concatenate([self.tag_ends, len(self.tags.codes) + other.tag_ends]),
        )

    def kept(self, keep: Mask) -> Columns:
        """Those clips only."""
        counts = np.diff(self.tag_ends, prepend=0)
        return Columns(
            self.durations[keep],
            Names(self.licences.codes[keep], self.licences.names),
            Names(self.sources.codes[keep], self.sources.names),
            Names(self.tags.codes[np.repeat(keep, counts)], self.tags.names),
            np.cumsum(counts[keep], dtype=np.int64),
        )

    @cached_property
    def _by_tag(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions of clips ordered by tag, and where each tag's end."""
        order = np.argsort(self.tags.codes, kind="stable")
        clips = np.repeat(np.arange(len(self)), np.diff(self.tag_ends, prepend=0))
        counts = np.bincount(self.tags.codes, minlength=len(self.tags.names))
        return clips[order], np.cumsum(counts)

    def with_tag(self, tag: str) -> npt.NDArray[np.int64]:
        """Positions of the clips that have a tag, ascending."""
        code = self.tags.numbers.get(tag.lower())
        clips, ends = self._by_tag
        if code is None:
            return clips[:0]
        return clips[ends[code - 1] if code else 0 : ends[code]]

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes; `where.rows` is not looked at."""
        passing = np.ones(len(self), dtype=np.bool_)
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
            found[self.with_tag(tag)] = True
        return found
