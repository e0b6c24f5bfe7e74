"""What a library holds, counted: tags, licences, sources, and what could not be added.

Counted once a generation. Where the store keeps the clips' columns in memory they are counted
there, which takes milliseconds; else all clips' rows are read. Tags are in lower case, a clip's
each once.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.library import Library
from earmark.index.stores.columns import Columns, Mask, NameColumn

MAX_FAILURES = 50  # failures that are told
READ_ROWS = 5_000  # rows at a time

# Where the path of a file begins, in words about it.
_PATH = re.compile(r"""(?:^|(?<=[\s"'(\[=:,]))(?:~?/|[A-Za-z]:\\|\\\\)(?=\S)""")

NameCounts = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be added: its name, without its folders, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class LibraryStatistics:
    """A library at one generation; names are counted, the most frequent first.

    `id`: the library's own, of all its generations. Of all `failures`, `latest` are the last.
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
    """A library's summary, kept until it changes. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._id = library.catalogue.meta("library")
        self._kept: LibraryStatistics | None = None
        self._counting = threading.Lock()

    def get(self) -> LibraryStatistics:
        """The summary as of now. Raises StorageError."""
        self._library.refresh()
        with self._counting:  # whoever comes meanwhile takes what the first has counted
            columns = self._library.store.columns()
            # What is counted in the catalogue is of its generation, not of a store that lags.
            generation = self._library.generation if columns is None else columns[0]
            if self._kept is None or self._kept.generation != generation:
                self._kept = self._counted(generation, columns)
            return self._kept

    def _counted(
        self, generation: int, columns: tuple[int, list[tuple[Columns, Mask | None]]] | None
    ) -> LibraryStatistics:
        catalogue = self._library.catalogue
        failures = catalogue.latest_failures(MAX_FAILURES)
        counted = _of_catalogue(catalogue) if columns is None else _of_columns(columns[1])
        return LibraryStatistics(
            self._id,
            generation,
            counted.clips,
            counted.seconds,
            _ordered(counted.tags),
            _ordered(counted.licences),
            _ordered(counted.sources),
            catalogue.failure_count(),
            tuple(
                FailedFile(PurePath(path).name, redact_path(path, reason))
                for path, reason in failures
            ),
        )


def redact_path(path: str, reason: str) -> str:
    """Why a file could not be added, without any path of this machine.

    Reasons begin with the file's name; what follows may hold paths in the words of a library or of
    the system. Whatever stands after one may belong to it, and is left out as well.
    """
    name = PurePath(path).name
    said = reason.replace(path, name)
    for start in (f"{name}: ", "file: "):
        said = said.removeprefix(start)
    found = _PATH.search(said)
    if found is None:
        return said
    return said[: found.start()].rstrip(" '\"([=:,") + "…"


@dataclass
class _Counted:
    clips: int
    seconds: float
    tags: Counter[str]
    licences: Counter[str]
    sources: Counter[str]


def _of_columns(parts: Iterable[tuple[Columns, Mask | None]]) -> _Counted:
    counted = _Counted(0, 0.0, Counter(), Counter(), Counter())
    for columns, mask in parts:
        keep = np.ones(len(columns), np.bool_) if mask is None else mask
        counted.clips += int(np.count_nonzero(keep))
        counted.seconds += float(columns.durations[keep].sum(dtype=np.float64))
        each = np.diff(columns.tags.ends, prepend=0)
        _count(counted.tags, columns.tags.values, np.repeat(keep, each))
        _count(counted.licences, columns.licences, keep)
        _count(counted.sources, columns.sources, keep)
    return counted


def _count(into: Counter[str], column: NameColumn, keep: Mask) -> None:
    counts = np.bincount(column.codes[keep], minlength=len(column.names))
    for code in np.flatnonzero(counts).tolist():
        into[column.names[code]] += int(counts[code])


def _of_catalogue(catalogue: Catalogue) -> _Counted:
    counted = _Counted(0, 0.0, Counter(), Counter(), Counter())
    for rows in catalogue.iter_statistics_rows(READ_ROWS):
        for duration, licence, source, tags in rows:
            counted.clips += 1
            counted.seconds += duration
            counted.licences[licence] += 1
            counted.sources[source] += 1
            counted.tags.update(set(tags.lower().split()))
    return counted


def _ordered(counts: Mapping[str, int]) -> NameCounts:
    """The most frequent first, equal ones by name; not the empty one, which says nothing."""
    named = [(name, count) for name, count in counts.items() if name]
    return tuple(sorted(named, key=lambda each: (-each[1], each[0])))
