"""Statistics of a library: counts of its tags, licences, sources and failed files.

They are computed once a generation: in milliseconds where the store has the clips' columns in
memory, else by reading all clips. Tags are in lower case, counted once a clip. Names that count as
the same (`model.text.text_key`) are counted together, in their most frequent spelling.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.library import Library
from earmark.index.stores.base import StoreColumns
from earmark.index.stores.columns import Columns, Mask, NameColumn
from earmark.index.types import Filter
from earmark.model.text.text_key import usual_spellings

MAX_FAILURES = 50  # the last failed files that are listed
BATCH_ROWS = 5_000  # read at a time

# Where a path begins in the text of an error.
_PATH = re.compile(r"""(?:^|(?<=[\s"'(\[=:,]))(?:~?/|[A-Za-z]:\\|\\\\)(?=\S)""")

NameCounts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be added: its name without folders, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class LibraryStatistics:
    """Statistics of one generation. Counts are in descending order.

    `id`: of the library. `failures`: how many files failed; `latest`: the last of them.
    """

    id: str
    generation: int
    clips: int
    seconds: float
    tags: NameCounts
    licences: NameCounts
    sources: NameCounts
    failures: int
    latest: tuple[FailedFile, ...]


class StatisticsCache:
    """Computes a library's statistics when it has changed. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._id = library.catalogue.meta("library")
        self._latest: LibraryStatistics | None = None
        self._counting = threading.Lock()

    def get(self) -> LibraryStatistics:
        """The statistics as of now. Raises StorageError."""
        self._library.refresh()
        with self._counting:  # concurrent callers share one count
            columns = self._library.store.columns(Filter())
            # The catalogue may be ahead of a store without columns.
            generation = self._library.generation if columns is None else columns[0]
            if self._latest is None or self._latest.generation != generation:
                self._latest = self._count(generation, columns)
            return self._latest

    def _count(self, generation: int, columns: StoreColumns | None) -> LibraryStatistics:
        catalogue = self._library.catalogue
        failures = catalogue.latest_failures(MAX_FAILURES)
        totals = _count_catalogue(catalogue) if columns is None else _count_columns(columns[1])
        return LibraryStatistics(
            id=self._id,
            generation=generation,
            clips=totals.clips,
            seconds=totals.seconds,
            tags=_descending(totals.tags),
            licences=_descending(totals.licences),
            sources=_descending(totals.sources),
            failures=catalogue.failure_count(),
            latest=tuple(
                FailedFile(PurePath(path).name, redact_path(path, reason))
                for path, reason in failures
            ),
        )


def redact_path(path: str, reason: str) -> str:
    """The reason why a file could not be added, without paths of this machine.

    A reason begins with the file's name. The rest may contain paths, in the text of a library's or
    the system's error: it is cut at the first one, as what follows may belong to the path.
    """
    name = PurePath(path).name
    text = reason.replace(path, name)
    for prefix in (f"{name}: ", "file: "):
        text = text.removeprefix(prefix)
    found = _PATH.search(text)
    if found is None:
        return text
    return text[: found.start()].rstrip(" '\"([=:,") + "…"


@dataclass
class _Totals:
    clips: int = 0
    seconds: float = 0.0
    tags: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)


def _count_columns(segments: Iterable[tuple[Columns, list[Mask | None]]]) -> _Totals:
    totals = _Totals()
    for columns, (mask,) in segments:
        keep = np.ones(len(columns), np.bool_) if mask is None else mask
        totals.clips += int(np.count_nonzero(keep))
        totals.seconds += float(columns.durations[keep].sum(dtype=np.float64))
        tags_per_clip = np.diff(columns.tags.ends, prepend=0)
        _count_names(totals.tags, columns.tags.values, np.repeat(keep, tags_per_clip))
        _count_names(totals.licences, columns.licences, keep)
        _count_names(totals.sources, columns.sources, keep)
    return totals


def _count_names(counter: Counter[str], column: NameColumn, keep: Mask) -> None:
    counts = np.bincount(column.codes[keep], minlength=len(column.names))
    for code in np.flatnonzero(counts).tolist():
        counter[column.names[code]] += int(counts[code])


def _count_catalogue(catalogue: Catalogue) -> _Totals:
    totals = _Totals()
    for rows in catalogue.iter_statistics_rows(BATCH_ROWS):
        for duration, licence, source, tags in rows:
            totals.clips += 1
            totals.seconds += duration
            totals.licences[licence] += 1
            totals.sources[source] += 1
            totals.tags.update(set(tags.lower().split()))
    return totals


def _descending(counts: Mapping[str, int]) -> NameCounts:
    """One count for each name but the empty one, descending by count, then by name."""
    totals: Counter[str] = Counter()
    for name, usual in usual_spellings(counts).items():
        totals[usual] += counts[name]
    named = [(name, count) for name, count in totals.items() if name]
    return tuple(sorted(named, key=lambda item: (-item[1], item[0])))
