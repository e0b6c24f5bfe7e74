"""Following folders: what appears or changes there is added to the library.

A file that goes away stays in the library: a disk that is not mounted must not empty it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import watchfiles

from index import ingest
from index.ingest import Report
from index.library import Library

SETTLED_SECONDS = 1.0  # without a change: it is no longer being written
LOOK_MS = 500  # between looks at what has settled


def follow(library: Library, paths: Sequence[Path]) -> Iterator[Report]:
    """Add all that the paths stand for, then what changes, until interrupted.

    Yields what became of the first, and of each later lot of which something is new or failed.
    Raises InputError as `ingest.add` does.
    """
    begun = False
    changed: dict[Path, float] = {}
    for changes in watchfiles.watch(
        *paths,
        watch_filter=None,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if not begun:  # the watch stands: nothing that comes from now on is missed
            begun = True
            yield ingest.add(library, paths)
        now = time.monotonic()
        changed |= {Path(name): now for _, name in changes if _is_asked(Path(name), paths)}
        settled = [path for path, when in changed.items() if now - when >= SETTLED_SECONDS]
        for path in settled:
            del changed[path]
        there = [path for path in settled if path.exists()]
        if there:
            report = ingest.add(library, there)
            if report.added or report.described or report.failed:
                yield report


def _is_asked(path: Path, paths: Sequence[Path]) -> bool:
    """Whether a change there is of a sound, of a folder that came whole, or of a manifest."""
    if path in (each.absolute() for each in paths if not each.is_dir()):
        return True
    return not path.name.startswith(".") and (path.is_dir() or ingest.is_sound(path))
