"""Columns in memory of what clips are filtered and matched by.

A filter becomes a mask over positions, words a score for each.

Conventions: n clips at positions 0 to n − 1, in the order of a segment's vectors. Licences,
sources, tags and words are codes into lists of names; tags are in lower case. Names are spelt as in
the catalogue; a filter's are compared with them by `text_key`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.terms import BEGINNING, clip_terms, is_beginning
from earmark.index.types import Filter
from earmark.model.core.arrays import Array
from earmark.model.text.text_key import text_key

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int32]

LAST_CHARACTER = "\U0010ffff"
DESCRIPTION_WEIGHT = 0.5  # of a word's weight, where only the description holds it


@dataclass(frozen=True)
class NameColumn:
    """A column of names: `codes` [m] into `names`, which are distinct."""

    codes: Codes
    names: tuple[str, ...]

    @staticmethod
    def of(values: Iterable[str]) -> NameColumn:
        """The column of these values."""
        code_of: dict[str, int] = {}
        codes = [code_of.setdefault(value, len(code_of)) for value in values]
        return NameColumn(np.array(codes, dtype=np.int32), tuple(code_of))

    @cached_property
    def code_of(self) -> dict[str, int]:
        """The code of each name."""
        return {name: code for code, name in enumerate(self.names)}

    @cached_property
    def _spellings(self) -> dict[str, list[str]]:
        """The names by their keys."""
        by_key: dict[str, list[str]] = {}
        for name in self.names:
            by_key.setdefault(text_key(name), []).append(name)
        return by_key

    @cached_property
    def folded(self) -> Codes:
        """For each code [names] the first one whose name counts as the same."""
        first: dict[str, int] = {}
        codes = [first.setdefault(text_key(name), code) for code, name in enumerate(self.names)]
        return np.array(codes, dtype=np.int32)

    def count(self, places: Mask | npt.NDArray[np.intp] | None = None) -> npt.NDArray[np.int64]:
        """How often each name [names] is in the column, or in a mask [m] or at positions of it."""
        codes = self.codes if places is None else self.codes[places]
        return np.bincount(codes, minlength=len(self.names))

    def spellings(self, name: str) -> list[str]:
        """The names that count as the same as this one."""
        return self._spellings.get(text_key(name), [])

    def concatenate(self, other: NameColumn) -> NameColumn:
        """This column and another below it."""
        code_of = dict(self.code_of)
        recoded = [code_of.setdefault(name, len(code_of)) for name in other.names]
        codes = np.array(recoded, dtype=np.int32)[other.codes] if len(other.codes) else other.codes
        return NameColumn(np.concatenate([self.codes, codes]), tuple(code_of))

    def select(self, mask: Mask) -> NameColumn:
        """The column of what is in a mask [m]."""
        return NameColumn(self.codes[mask], self.names)

    def take(self, positions: npt.NDArray[np.int64]) -> NameColumn:
        """The names at these positions, in this order."""
        return NameColumn(self.codes[positions], self.names)

    def isin(self, values: Sequence[str]) -> Mask:
        """[m], True where the name counts as the same as one of these."""
        wanted = np.zeros(len(self.names), dtype=np.bool_)
        wanted[[self.code_of[name] for value in values for name in self.spellings(value)]] = True
        return np.asarray(wanted[self.codes])


@dataclass(frozen=True)
class ListColumn:
    """A column of lists of names: `values` of all clips, clip by clip, and the `ends` [n] of the
    clips' lists in it."""

    values: NameColumn
    ends: npt.NDArray[np.int64]

    @staticmethod
    def of(lists: Iterable[Sequence[str]]) -> ListColumn:
        """The column of these lists."""
        ends: list[int] = []

        def flat() -> Iterator[str]:
            total = 0
            for names in lists:
                total += len(names)
                ends.append(total)
                yield from names

        values = NameColumn.of(flat())
        return ListColumn(values, np.array(ends, dtype=np.int64))

    def concatenate(self, other: ListColumn) -> ListColumn:
        """This column and another below it."""
        ends = np.concatenate([self.ends, len(self.values.codes) + other.ends])
        return ListColumn(self.values.concatenate(other.values), ends)

    def count(self, mask: Mask | None = None) -> npt.NDArray[np.int64]:
        """How often each name [names] is in the lists of clips in a mask [n], None: of all."""
        if mask is None:
            return self.values.count()
        return self.values.count(np.repeat(mask, np.diff(self.ends, prepend=0)))

    def select(self, mask: Mask) -> ListColumn:
        """The lists of the clips in a mask [n]."""
        counts = np.diff(self.ends, prepend=0)
        codes = self.values.codes[np.repeat(mask, counts)]
        ends = np.cumsum(counts[mask], dtype=np.int64)
        return ListColumn(NameColumn(codes, self.values.names), ends)

    def take(self, positions: npt.NDArray[np.int64]) -> ListColumn:
        """The lists at these positions [m], in this order."""
        counts = np.diff(self.ends, prepend=0)[positions]
        ends = np.cumsum(counts, dtype=np.int64)
        # Where each list starts in the values, less where it starts in those that are taken.
        shifts = self.ends[positions] - ends
        codes = self.values.codes[np.repeat(shifts, counts) + np.arange(int(counts.sum()))]
        return ListColumn(NameColumn(codes, self.values.names), ends)

    def prepare(self) -> None:
        """Compute now what the first search would compute."""
        _ = self._by_name

    @cached_property
    def _by_name(self) -> tuple[Codes, npt.NDArray[np.int64]]:
        """(positions of clips ordered by name, the ends of the names' positions in it)."""
        order = np.argsort(self.values.codes, kind="stable")
        lengths = np.diff(self.ends, prepend=0)
        clips = np.repeat(np.arange(len(self.ends), dtype=np.int32), lengths)
        counts = np.bincount(self.values.codes, minlength=len(self.values.names))
        return clips[order], np.cumsum(counts)

    def positions(self, name: str) -> Codes:
        """Positions of the clips whose list holds a name, ascending."""
        code = self.values.code_of.get(name)
        clips, ends = self._by_name
        if code is None:
            return clips[:0]
        return clips[ends[code - 1] if code else 0 : ends[code]]

    @cached_property
    def _ascending(self) -> list[str]:
        """The names ascending."""
        return sorted(self.values.names)

    def positions_beginning(self, letters: str) -> Codes:
        """Positions of the clips whose list holds a name that begins so, ascending."""
        names = self._ascending
        first = bisect_left(names, letters)
        last = bisect_left(names, letters + LAST_CHARACTER, first)
        code_of = self.values.code_of
        codes = np.array([code_of[name] for name in names[first:last]], dtype=np.int64)
        clips, ends = self._by_name
        starts = np.where(codes > 0, ends[codes - 1], 0) if len(codes) else codes
        lengths = ends[codes] - starts
        # The places of all names' positions, one name after the other.
        places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        holding = np.zeros(len(self.ends), dtype=np.bool_)
        holding[clips[places + np.arange(len(places))]] = True
        return np.flatnonzero(holding).astype(np.int32)


@dataclass(frozen=True)
class Columns:
    """Of n clips: `durations` [n] in seconds, `loudness` [n] in LUFS (NaN: not known), the days
    since 1970 on which they were `added` [n], sample rates in Hz and channels (as names: there are
    few), licences, sources, categories, tags, and terms of words (`index.lexical.terms`).

    `words`: of titles and tags; `described`: those that only descriptions hold.
    """

    durations: Array
    loudness: Array
    added: Codes
    sample_rates: NameColumn
    channels: NameColumn
    licences: NameColumn
    sources: NameColumn
    categories: NameColumn
    tags: ListColumn
    words: ListColumn
    described: ListColumn

    @staticmethod
    def of(changes: Changes, *, words: bool = True) -> Columns:
        """Of the clips that were added or changed; without `words`, terms of words are left out."""
        texts = zip(changes.titles, changes.tags, changes.descriptions, strict=True)
        terms = [
            clip_terms(f"{title} {tags}", description) if words else ([], [])
            for title, tags, description in texts
        ]
        return Columns(
            changes.durations.astype(np.float32),
            changes.loudness.astype(np.float32),
            changes.added.astype(np.int32),
            NameColumn.of(map(str, changes.sample_rates)),
            NameColumn.of(map(str, changes.channels)),
            NameColumn.of(changes.licences),
            NameColumn.of(changes.sources),
            NameColumn.of(changes.categories),
            ListColumn.of([list(dict.fromkeys(text.lower().split())) for text in changes.tags]),
            ListColumn.of([own for own, _ in terms]),
            ListColumn.of([described for _, described in terms]),
        )

    def __len__(self) -> int:
        return len(self.durations)

    def concatenate(self, other: Columns) -> Columns:
        """These clips and others after them."""
        return Columns(
            np.concatenate([self.durations, other.durations]),
            np.concatenate([self.loudness, other.loudness]),
            np.concatenate([self.added, other.added]),
            self.sample_rates.concatenate(other.sample_rates),
            self.channels.concatenate(other.channels),
            self.licences.concatenate(other.licences),
            self.sources.concatenate(other.sources),
            self.categories.concatenate(other.categories),
            self.tags.concatenate(other.tags),
            self.words.concatenate(other.words),
            self.described.concatenate(other.described),
        )

    def select(self, mask: Mask) -> Columns:
        """The clips in a mask [n]."""
        return Columns(
            self.durations[mask],
            self.loudness[mask],
            self.added[mask],
            self.sample_rates.select(mask),
            self.channels.select(mask),
            self.licences.select(mask),
            self.sources.select(mask),
            self.categories.select(mask),
            self.tags.select(mask),
            self.words.select(mask),
            self.described.select(mask),
        )

    def replaced(self, positions: npt.NDArray[np.int64], others: Columns) -> Columns:
        """These clips, with others in place of those at some positions, ready for searches."""
        places = np.arange(len(self))
        places[positions] = len(self) + np.arange(len(others))
        both = self.concatenate(others)
        replaced = Columns(
            both.durations[places],
            both.loudness[places],
            both.added[places],
            both.sample_rates.take(places),
            both.channels.take(places),
            both.licences.take(places),
            both.sources.take(places),
            both.categories.take(places),
            both.tags.take(places),
            both.words.take(places),
            both.described.take(places),
        )
        for column in (replaced.tags, replaced.words, replaced.described):
            column.prepare()
        return replaced

    def document_frequency(self, term: str) -> int:
        """How many clips hold a term."""
        return sum(map(len, self._holding(term)))

    def word_shares(self, weights: Mapping[str, float]) -> Array:
        """[n], the sum of the weights of the terms that a clip holds; terms that only its
        description holds count half."""
        shares = np.zeros(len(self), dtype=np.float32)
        for term, weight in weights.items():
            words, described = self._holding(term)
            shares[words] += weight
            shares[described] += DESCRIPTION_WEIGHT * weight
        return shares

    def _holding(self, term: str) -> tuple[Codes, Codes]:
        """Positions of the clips that hold a term in title or tags, and only in the description."""
        if not is_beginning(term):
            return self.words.positions(term), self.described.positions(term)
        letters = term.removesuffix(BEGINNING)
        words = self.words.positions_beginning(letters)
        described = self.described.positions_beginning(letters)
        return words, np.setdiff1d(described, words, assume_unique=True)

    def nbytes(self) -> int:
        """About the memory that it takes, in bytes."""
        lists = (self.tags, self.words, self.described)
        # For each name of a list: its code, and a position in the order by name.
        return 32 * len(self) + sum(
            column.ends.nbytes + 8 * len(column.values.codes) for column in lists
        )

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes a filter's conditions but `rows`, `up_to` and `but`."""
        passing = np.ones(len(self), dtype=np.bool_)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite
            if where.min_duration is not None:
                passing &= self.durations >= np.float32(where.min_duration)
            if where.max_duration is not None:
                passing &= self.durations <= np.float32(where.max_duration)
            if where.min_loudness is not None:
                passing &= self.loudness >= np.float32(where.min_loudness)
            if where.max_loudness is not None:
                passing &= self.loudness <= np.float32(where.max_loudness)
        first, end = where.added
        if first is not None:
            passing &= self.added >= first
        if end is not None:
            passing &= self.added < end
        for tag in where.all_tags:
            passing &= self._have_any([tag])
        if where.any_tags:
            passing &= self._have_any(where.any_tags)
        if where.no_tags:
            passing &= ~self._have_any(where.no_tags)
        for column, wanted in (
            (self.licences, where.licences),
            (self.sources, where.sources),
            (self.categories, where.categories),
            (self.sample_rates, where.sample_rates),
            (self.channels, where.channels),
        ):
            if wanted:
                passing &= column.isin([str(name) for name in wanted])
        return passing

    def _have_any(self, tags: Iterable[str]) -> Mask:
        """[n], True where a clip has one of the tags."""
        mask = np.zeros(len(self), dtype=np.bool_)
        for tag in tags:
            for name in self.tags.values.spellings(tag):
                mask[self.tags.positions(name)] = True
        return mask
