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
from earmark.index.files.paths import is_folder, is_gone, real_folder
from earmark.index.ingest import bulk
from earmark.index.ingest.bulk import AddReport
from earmark.index.ingest.walk import Manifests, Walk, is_searched, is_sound
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
    library: Library,
    paths: Sequence[Path],
    interrupt: Interrupt | None = None,
    manifests: Manifests | None = None,
) -> Iterator[AddReport]:
    """Add all sounds of the paths, then those that change, until interrupted.

    Yields the report of the first pass, and of each later one that added, moved, updated or failed
    anything. A manifest that is invalid for a while, or a folder that cannot be read, is reported
    as failed. Raises InputError for the first pass, as `bulk.add` does.
    """
    roots = _folders(paths, manifests)
    files = {
        place: path
        for path in paths
        if not is_folder(path)
        for place in (real_folder(path.parent) / path.name, real_folder(path))
    }
    # A manifest's folder: many programs save a file by replacing it.
    watched = {*roots, *(place.parent for place in files)}
    started = False
    changed: dict[Path, float] = {}
    for changes in watchfiles.watch(
        *watched,
        watch_filter=None,
        stop_event=interrupt,
        rust_timeout=POLL_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    ):
        if not started:  # the watch is active: no later change is missed
            started = True
            yield bulk.add(library, paths, manifests=manifests)
        now = time.monotonic()
        for _, name in changes:
            path = Path(name)
            if path in files or _is_relevant(path, roots):
                changed[files.get(path, path)] = now
        settled = [path for path, when in changed.items() if now - when >= SETTLED_SECONDS]
        for path in settled:
            del changed[path]
        present = [
            path
            for path in settled
            if not is_gone(str(path)) and (path in files.values() or _is_relevant(path, roots))
        ]
        report = _add(library, present, manifests)
        if report.added or report.moved or report.described or report.failed:
            yield report


def _folders(paths: Sequence[Path], manifests: Manifests | None) -> list[Path]:
    """The folders to watch with all below them: the named ones, and those that links lead to."""
    walk = Walk(manifests)
    for path in filter(is_folder, paths):
        for _ in walk.sounds(path):
            pass
    folders: list[Path] = [real_folder(path) for path in filter(is_folder, paths)]
    for folder in sorted(walk.folders):
        if not any(folder.is_relative_to(other) for other in folders):
            folders.append(folder)
    return folders


def _add(library: Library, paths: Sequence[Path], manifests: Manifests | None) -> AddReport:
    """Add the paths that can be read, and report the reasons for the others."""
    failed: dict[str, str] = {}
    readable: list[Path] = []
    for path in paths:
        try:
            for _ in Walk(manifests).sounds(path):
                pass
            readable.append(path)
        except InputError as error:
            failed[printable_path(path)] = str(error)
    try:
        report = bulk.add(library, readable, manifests=manifests) if readable else AddReport()
    except InputError as error:  # removed or broken since
        report = AddReport(failed=dict.fromkeys(map(printable_path, readable), str(error)))
    report.failed |= failed
    return report


def _is_relevant(path: Path, roots: Sequence[Path]) -> bool:
    """Whether the changed path is a sound, or a new folder of sounds, that is to be added."""
    if path in roots or path.name.startswith("."):
        return False
    if not (is_folder(path) or is_sound(path)):
        return False
    folder = path if is_folder(path) else path.parent
    return any(path.is_relative_to(root) and is_searched(folder, root) for root in roots)
