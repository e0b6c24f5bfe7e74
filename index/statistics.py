"""Statistics of a library: counts of its tags, licences, sources and failed files.

They are computed once a generation: in milliseconds where the store has the clips' columns in
memory, else by reading all clips. Tags are in lower case, counted once a clip; names are counted as
in `index.facets`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from earmark.index.facets import NameCounts, NamePart, most_frequent
from earmark.index.library import Library
from earmark.index.stores.columns import Columns, Mask
from earmark.index.types import Filter

MAX_FAILURES = 50  # the last failed files that are listed

# Where a path begins in the text of an error.
_PATH = re.compile(r"""(?:^|(?<=[\s"'(\[=:,]))(?:~?/|[A-Za-z]:\\|\\\\)(?=\S)""")


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
            generation, parts = self._library.columns(Filter())
            if self._latest is None or self._latest.generation != generation:
                self._latest = self._count(generation, parts)
            return self._latest

    def _count(
        self, generation: int, parts: Sequence[tuple[Columns, list[Mask | None]]]
    ) -> LibraryStatistics:
        catalogue = self._library.catalogue
        failures = catalogue.latest_failures(MAX_FAILURES)
        durations = [
            columns.durations if mask is None else columns.durations[mask]
            for columns, (mask,) in parts
        ]

        def named(count: Callable[[Columns, Mask | None], NamePart]) -> NameCounts:
            return most_frequent([count(columns, mask) for columns, (mask,) in parts])

        return LibraryStatistics(
            id=self._id,
            generation=generation,
            clips=sum(map(len, durations)),
            seconds=float(sum(own.sum(dtype=np.float64) for own in durations)),
            tags=named(lambda own, mask: (own.tags.values, own.tags.count(mask))),
            licences=named(lambda own, mask: (own.licences, own.licences.count(mask))),
            sources=named(lambda own, mask: (own.sources, own.sources.count(mask))),
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
