"""Facets: how many of the clips of a query have each tag, source, licence, length and so on.

Without words they are all clips that pass the filter. With words they are the hits that any order
other than by relevance lists (`Ranker.listed`), up to 2,000.

Taught sounds have to rank all clips before they are counted: only few are, or many in small
libraries.

A facet is counted without its own condition: who has chosen a licence sees what other licences
would give. But conditions on tags narrow down one by one, and hold for the facet of tags as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.classifiers import classifiers
from earmark.index.catalogue.collections import collections
from earmark.index.errors import LibraryError
from earmark.index.library import Library
from earmark.index.search.query import exclude_unwanted
from earmark.index.stores.columns import Columns, Mask, NameColumn
from earmark.index.types import Filter, RowSet, SearchRequest
from earmark.model.core.arrays import Array
from earmark.model.text.text_key import text_key

Counts = npt.NDArray[np.int64]
NameCounts = tuple[tuple[str, int], ...]
Positions = npt.NDArray[np.intp]  # of clips in columns
NamePart = tuple[NameColumn, Counts]

# The fields of `Filter` that a facet is counted without.
OWN: dict[str, tuple[str, ...]] = {
    "tags": (),
    "licences": ("licences",),
    "sources": ("sources",),
    "categories": ("categories",),
    "sample_rates": ("sample_rates",),
    "channels": ("channels",),
    "durations": ("min_duration", "max_duration"),
    "loudness": ("min_loudness", "max_loudness"),
    "added": ("added_after", "added_before"),
    "collections": ("collections",),
    "classifiers": ("classifiers",),
}
DURATIONS = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)  # seconds, between two ranges
LOUDNESS = (-50.0, -40.0, -30.0, -23.0, -18.0, -14.0)  # LUFS, between two ranges
MAX_TAUGHT, MAX_RANKED = 32, 1_000_000  # taught sounds that are counted; times clips
_NOTHING = Filter()


@dataclass(frozen=True)
class RangeCount:
    """How many values lie in a range, both ends included; None: no end."""

    minimum: float | None
    maximum: float | None
    count: int


@dataclass(frozen=True)
class NamedCount:
    """How many clips a collection holds, or a classifier says are its sound."""

    id: str
    name: str
    count: int


@dataclass(frozen=True)
class Facets:
    """The clips of a query, of one generation: how many there are, and how many with each value.

    Names have the most frequent first, in their most frequent spelling; numbers and ranges are
    ascending, without those that no clip has; `added`: months ("2026-11"), the newest first;
    `classifiers`: None where there are too many for this many clips.
    """

    generation: int
    total: int
    tags: NameCounts
    licences: NameCounts
    sources: NameCounts
    categories: NameCounts
    sample_rates: tuple[tuple[int, int], ...]
    channels: tuple[tuple[int, int], ...]
    durations: tuple[RangeCount, ...]
    loudness: tuple[RangeCount, ...]
    added: NameCounts
    collections: tuple[NamedCount, ...]
    classifiers: tuple[NamedCount, ...] | None


def count_facets(library: Library, request: SearchRequest, names: int) -> Facets:
    """The facets of a request by words, or without words of all that pass its filter.

    `names`: of tags, licences, sources, categories, collections and classifiers each, at most.
    Raises UnknownCollectionError, UnknownClassifierError, StorageError.
    """
    library.refresh()
    wheres = {facet: _without(request.where, own) for facet, own in OWN.items()}
    filters = list(dict.fromkeys([request.where, *wheres.values()]))
    selections = _selections(library, request, filters)
    generation, parts = library.columns(*selections)

    # Positions cost less than masks where they are used several times.
    positions = [
        [None if mask is None else np.flatnonzero(mask) for mask in masks] for _, masks in parts
    ]

    def of(facet: str) -> list[tuple[Any, Positions | None]]:
        place = filters.index(wheres[facet])
        return [
            (getattr(columns, facet), own[place])
            for (columns, _), own in zip(parts, positions, strict=True)
        ]

    def named(kind: str, found: Mapping[str, str]) -> tuple[NamedCount, ...]:
        return _named(library, selections[filters.index(wheres[kind])], kind, found)[:names]

    holding = {each.id: each.name for each in collections(library.catalogue) if each.clips}
    taught = {each.id: each.name for each in classifiers(library.catalogue) if each.version}
    few = len(taught) <= min(MAX_TAUGHT, MAX_RANKED // max(1, len(library.store)))
    return Facets(
        generation=generation,
        total=sum(_size(columns, masks[0]) for columns, masks in parts),
        tags=most_frequent(
            [(columns.tags.values, columns.tags.count(masks[0])) for columns, masks in parts], names
        ),
        licences=_names(of("licences"), names),
        sources=_names(of("sources"), names),
        categories=_names(of("categories"), names),
        sample_rates=_numbers(of("sample_rates")),
        channels=_numbers(of("channels")),
        durations=_ranges(of("durations"), DURATIONS),
        loudness=_ranges(of("loudness"), LOUDNESS),
        added=_months(of("added")),
        collections=named("collections", holding),
        classifiers=named("classifiers", taught) if few else None,
    )


def most_frequent(parts: Sequence[NamePart], limit: int | None = None) -> NameCounts:
    """The names of columns that have a count, but the empty one, the most frequent first, in their
    most frequent spelling; those that count as the same (`model.text.text_key`) counted together.

    `limit`: so many, at most; of those that tie for the last places, any.
    """
    column, counts = max(parts, key=lambda part: len(part[0].names))
    totals = np.bincount(column.folded, weights=counts, minlength=len(column.names))
    others: Counter[str] = Counter()  # of names that the largest column lacks, by key
    for other, its in parts:
        if other is column:
            continue
        for code in np.flatnonzero(its).tolist():
            spellings = column.spellings(other.names[code])
            if spellings:
                totals[column.code_of[spellings[0]]] += its[code]
            else:
                others[text_key(other.names[code])] += int(its[code])
    if empty := column.spellings(""):
        totals[column.code_of[empty[0]]] = 0
    others.pop("", None)
    found = np.flatnonzero(totals)
    if limit is not None and len(found) > limit:
        found = found[np.argpartition(-totals[found], limit - 1)[:limit]] if limit else found[:0]
    named = {column.names[code]: int(totals[code]) for code in found.tolist()}
    both = [(_usual(name, parts), count) for name, count in (named | others).items()]
    return tuple(sorted(both, key=lambda item: (-item[1], item[0]))[:limit])


def _usual(name: str, parts: Sequence[NamePart]) -> str:
    """The most frequent spelling of a name."""
    spellings: Counter[str] = Counter()
    for column, counts in parts:
        for spelling in column.spellings(name):
            spellings[spelling] += int(counts[column.code_of[spelling]])
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))


def _without(where: Filter, fields: Sequence[str]) -> Filter:
    cleared: dict[str, Any] = {name: getattr(_NOTHING, name) for name in fields}
    return replace(where, **cleared)


def _selections(
    library: Library, request: SearchRequest, filters: Sequence[Filter]
) -> list[Filter]:
    """The clips of the request under each of the filters, as filters that a store can tell."""
    if not request.query.text:
        return [library.resolved(exclude_unwanted(where, request.query)) for where in filters]
    listed = library.listed([replace(request, where=where) for where in filters])
    return [Filter(members=RowSet(np.sort(rows))) for rows in listed]


def _names(columns: Sequence[tuple[NameColumn, Positions | None]], limit: int | None) -> NameCounts:
    return most_frequent([(column, column.count(own)) for column, own in columns], limit)


def _numbers(columns: Sequence[tuple[NameColumn, Positions | None]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted((int(name), count) for name, count in _names(columns, None)))


def _ranges(
    columns: Sequence[tuple[Array, Positions | None]], edges: Sequence[float]
) -> tuple[RangeCount, ...]:
    """The counts of values in the ranges between edges, both included; NaN is in none."""
    up_to, below = np.zeros(len(edges) + 1, np.int64), np.zeros(len(edges) + 1, np.int64)
    for values, positions in columns:
        own = values if positions is None else values[positions]
        for place, edge in enumerate((*edges, np.inf)):
            up_to[place] += np.count_nonzero(own <= np.float32(edge))
            below[place] += np.count_nonzero(own < np.float32(edge))
    counts = np.diff(up_to, prepend=0)
    counts[1:] += (up_to - below)[:-1]  # those on the lower edge
    bounds = pairwise((None, *edges, None))
    return tuple(
        RangeCount(low, high, count)
        for (low, high), count in zip(bounds, counts.tolist(), strict=True)
        if count
    )


def _months(columns: Sequence[tuple[npt.NDArray[np.int32], Positions | None]]) -> NameCounts:
    """The counts of days by month, the newest first."""
    months: Counter[str] = Counter()
    for days, positions in columns:
        own = days if positions is None else days[positions]
        if not len(own):
            continue
        first = int(own.min())
        counts = np.bincount(own - first)
        present = np.flatnonzero(counts)
        names = (first + present).astype("datetime64[D]").astype("datetime64[M]").astype(str)
        for name, count in zip(names.tolist(), counts[present].tolist(), strict=True):
            months[name] += count
    return tuple(sorted(months.items(), reverse=True))


def _named(
    library: Library, selection: Filter, kind: str, names: Mapping[str, str]
) -> tuple[NamedCount, ...]:
    """How many clips of a selection pass a filter by each name of a kind, but for those that none
    does. `names`: by id; collections that follow a search are not counted."""
    if not names:
        return ()
    rows = library.store.passing(selection)
    passing = np.zeros(int(rows.max(initial=0)) + 1, np.bool_)  # by row
    passing[rows] = True
    counted = []
    for each, name in names.items():
        condition: dict[str, Any] = {kind: (each,)}
        with suppress(LibraryError):  # it has been removed meanwhile
            members = library.resolved(Filter(**condition)).members
            held = np.zeros(0, np.int64) if members is None else members.rows
            count = int(np.count_nonzero(passing[held[held < len(passing)]]))
            counted.append(NamedCount(each, name, count))
    found = [each for each in counted if each.count]
    return tuple(sorted(found, key=lambda each: (-each.count, each.name)))


def _size(columns: Columns, mask: Mask | None) -> int:
    return len(columns) if mask is None else int(np.count_nonzero(mask))
