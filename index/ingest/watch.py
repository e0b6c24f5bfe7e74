"""Following folders: what appears or changes there is added to the library.

A file that goes away stays in the library: a disk that is not mounted must not empty it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import watchfiles

from earmark.index.catalogue.embedded_sound import shown
from earmark.index.ingest import bulk
from earmark.index.ingest.bulk import Report
from earmark.index.library import Library
from earmark.model.core.errors import InputError

SETTLED_SECONDS = 1.0  # without a change: it is no longer being written
LOOK_MS = 500  # between looks at what has settled


class Interrupt:
    """A signal's handler that raises KeyboardInterrupt, and remembers it: Python drops what is
    raised while it frees an object.
    """

    def __init__(self) -> None:
        self._came = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt."""
        self._came = True
        raise KeyboardInterrupt

    def is_set(self) -> bool:
        """Whether it came."""
        return self._came


def follow(
    library: Library, paths: Sequence[Path], interrupt: Interrupt | None = None
) -> Iterator[Report]:
    """Add all that the paths stand for, then what changes, until interrupted.

    Yields what became of the first, and of each later lot of which something is new or failed; a
    manifest that is broken for a while, or a folder that may not be read, has failed like a sound.
    Raises InputError for the first, as `ingest.add` does.
    """
    asked = [path.resolve() for path in paths]
    # A manifest's folder: many programs save a file by putting another in its place.
    watched = {path if path.is_dir() else path.parent for path in asked}
    begun = False
    changed: dict[Path, float] = {}
    for changes in watchfiles.watch(
        *watched,
        watch_filter=None,
        stop_event=interrupt,
        rust_timeout=LOOK_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if not begun:  # the watch stands: nothing that comes from now on is missed
            begun = True
            yield bulk.add(library, paths)
        now = time.monotonic()
        changed |= {Path(name): now for _, name in changes if _is_asked(Path(name), asked)}
        settled = [path for path, when in changed.items() if now - when >= SETTLED_SECONDS]
        for path in settled:
            del changed[path]
        report = _added(library, [path for path in settled if path.exists()])
        if report.added or report.described or report.failed:
            yield report


def _added(library: Library, paths: Sequence[Path]) -> Report:
    """Add what can be; of the rest, why not."""
    failed: dict[str, str] = {}
    good: list[Path] = []
    for path in paths:
        try:
            for _ in bulk.expand(path):
                pass
            good.append(path)
        except InputError as error:
            failed[shown(path)] = str(error)
    try:
        report = bulk.add(library, good) if good else Report()
    except InputError as error:  # gone or spoiled since
        report = Report(failed=dict.fromkeys(map(shown, good), str(error)))
    report.failed |= failed
    return report


def _is_asked(path: Path, asked: Sequence[Path]) -> bool:
    """Whether a change there is of a sound, of a folder that came whole, or of a manifest."""
    if path in asked:
        return not path.is_dir()
    if path.name.startswith(".") or not (path.is_dir() or bulk.is_sound(path)):
        return False
    return any(folder in path.parents for folder in asked if folder.is_dir())
