"""Watching folders: sounds that appear or change there are added to the library.

A file that disappears stays in the library: an unmounted disk must not empty it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import watchfiles

from earmark.index.catalogue.embedded_sound import printable_path
from earmark.index.ingest import bulk
from earmark.index.ingest.bulk import AddReport
from earmark.index.library import Library
from earmark.model.core.errors import InputError

SETTLED_SECONDS = 1.0  # without a change: nobody writes the file any more
POLL_MS = 500  # between checks for settled files


class Interrupt:
    """A signal handler that raises KeyboardInterrupt, and records it: Python drops an exception
    that is raised while it frees an object.
    """

    def __init__(self) -> None:
        self._interrupted = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt."""
        self._interrupted = True
        raise KeyboardInterrupt

    def is_set(self) -> bool:
        """Whether the signal came."""
        return self._interrupted


def follow(
    library: Library, paths: Sequence[Path], interrupt: Interrupt | None = None
) -> Iterator[AddReport]:
    """Add all sounds of the paths, then those that change, until interrupted.

    Yields the report of the first pass, and of each later one that added, updated or failed
    anything. A manifest that is invalid for a while, or a folder that cannot be read, is reported
    as failed. Raises InputError for the first pass, as `bulk.add` does.
    """
    roots = [path.resolve() for path in paths]
    # A manifest's folder: many programs save a file by replacing it.
    folders = {path if path.is_dir() else path.parent for path in roots}
    started = False
    changed: dict[Path, float] = {}
    for changes in watchfiles.watch(
        *folders,
        watch_filter=None,
        stop_event=interrupt,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if not started:  # the watch is active: no later change is missed
            started = True
            yield bulk.add(library, paths)
        now = time.monotonic()
        changed |= {Path(name): now for _, name in changes if _is_relevant(Path(name), roots)}
        settled = [path for path, when in changed.items() if now - when >= SETTLED_SECONDS]
        for path in settled:
            del changed[path]
        report = _add(library, [path for path in settled if path.exists()])
        if report.added or report.described or report.failed:
            yield report


def _add(library: Library, paths: Sequence[Path]) -> AddReport:
    """Add the paths that can be read, and report the reasons for the others."""
    failed: dict[str, str] = {}
    readable: list[Path] = []
    for path in paths:
        try:
            for _ in bulk.find_sounds(path):
                pass
            readable.append(path)
        except InputError as error:
            failed[printable_path(path)] = str(error)
    try:
        report = bulk.add(library, readable) if readable else AddReport()
    except InputError as error:  # removed or broken since
        report = AddReport(failed=dict.fromkeys(map(printable_path, readable), str(error)))
    report.failed |= failed
    return report


def _is_relevant(path: Path, roots: Sequence[Path]) -> bool:
    """Whether the changed path is a sound, a new folder of sounds, or a manifest."""
    if path in roots:
        return not path.is_dir()
    if path.name.startswith(".") or not (path.is_dir() or bulk.is_sound(path)):
        return False
    return any(folder in path.parents for folder in roots if folder.is_dir())
