"""Bulk adding: files, folders, manifests or another library → clips of this one.

Sounds are embedded by a pipeline (`index.pipeline`) and written in small transactions, so that an
interruption loses at most the last one.
Files that the library already holds unchanged are skipped: the same command, run again,
resumes. What cannot be read is remembered with its reason and the rest goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from index import pipeline
from index.catalogue import FILE_NAME as CATALOGUE_FILE
from index.catalogue import Catalogue
from index.library import Library, Origin, Sound, shown
from index.records import Known, Said, id_problem
from model import manifest
from model.errors import AudioError, InputError, ManifestError
from model.progress import progress

BATCH_CLIPS = 32
BATCH_SECONDS = 2.0  # a slow batch is written before it is full
SUFFIXES = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 .m4a .aac .webm .mp4 .wma"
    .split()
)  # fmt: skip


@dataclass
class Report:
    """What became of every sound that was asked for.

    `described`: files known already of which the manifest now says something else.
    `duplicates`: added clips whose very sound an earlier clip has, and that one's id.
    """

    added: list[str] = field(default_factory=list)
    described: int = 0
    unchanged: int = 0
    duplicates: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def expand(path: Path) -> Iterator[Origin]:
    """The sounds that a path stands for: a file, a manifest, a library or a folder of sounds.

    Raises InputError when it is not there or may not be read, ManifestError, LibraryError.
    """
    if path.is_dir():
        if (path / CATALOGUE_FILE).is_file():
            yield from _of_library(path)
        else:
            yield from _of_folder(path)
    elif path.suffix.lower() == ".csv":
        yield from of_manifest(path)
    elif path.exists():
        yield Origin(path.resolve())
    else:
        raise InputError(f"path: no such file or folder: {path}")


def of_manifest(path: Path) -> Iterator[Origin]:
    """The sounds of a manifest, with what it says of them. Raises ManifestError."""
    for row in manifest.read_manifest(path):
        said = Said(row.title, row.tags, row.author, row.source, row.licence, row.description)
        problem = said.problem() or id_problem(row.id)
        if problem:
            raise ManifestError(f"{path}: {problem} (for {row.path.name})")
        yield Origin(row.path.resolve(), said, row.id)


def _of_library(folder: Path) -> Iterator[Origin]:
    catalogue = Catalogue.open(folder)
    try:
        for clip in catalogue.clips():
            yield Origin(Path(clip.path), clip.said, clip.id)
    finally:
        catalogue.close()


def _of_folder(folder: Path) -> Iterator[Origin]:
    def refuse(error: OSError) -> None:
        raise InputError(f"path: {error.filename} cannot be read ({error.strerror})") from error

    for parent, folders, names in os.walk(folder.resolve(), onerror=refuse):
        folders.sort()
        for name in sorted(names):
            if is_sound(Path(name)):
                yield Origin(Path(parent) / name)


def is_sound(path: Path) -> bool:
    """Whether a file of that name is taken for a sound when its folder is added."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def add(library: Library, paths: Sequence[Path], processes: int | None = None) -> Report:
    """Add all sounds that the paths stand for. Raises InputError before any work is done.

    KeyboardInterrupt passes through once what was embedded has been written.
    """
    report, known = Report(), library.catalogue.known_files()
    origins = {str(origin.path): origin for path in paths for origin in expand(path)}
    todo: list[Origin] = []
    rest: list[Origin] = []
    for origin in origins.values():
        (rest if _unchanged(origin.path, known) else todo).append(origin)
    _describe(library, rest, known, report)
    with (
        _single_threaded_torch(),  # the pipeline's threads share the cores
        progress("adding", len(todo), "files") as shown,
    ):
        batch = _Batch(library, report)
        sounds = pipeline.embed(library.embedder, todo, processes)
        try:
            for origin, result in sounds:
                batch.take(origin, result)
                shown.step()
        finally:
            sounds.close()
            batch.write()
    return report


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _describe(
    library: Library, origins: Sequence[Origin], known: Mapping[str, Known], report: Report
) -> None:
    """Take what is said of files that need not be read again, where it is news."""
    news = [
        origin
        for origin in origins
        if origin.said.over(known[str(origin.path)].said) != known[str(origin.path)].said
    ]
    if news:
        library.describe(news)
    report.described = len(news)
    report.unchanged = len(origins) - len(news)


def _unchanged(path: Path, known: Mapping[str, Known]) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False  # decoding says what is wrong with it
    held = known.get(str(path))
    return held is not None and (held.size, held.mtime_ns) == (state.st_size, state.st_mtime_ns)


class _Batch:
    """Embedded sounds that wait to be written in one transaction."""

    def __init__(self, library: Library, report: Report) -> None:
        self._library, self._report = library, report
        self._sounds: list[Sound] = []
        self._failed: dict[str, str] = {}
        self._since = time.monotonic()

    def take(self, origin: Origin, result: Sound | AudioError) -> None:
        """One more sound, or the reason why not; written when enough wait."""
        if isinstance(result, AudioError):
            self._failed[shown(origin.path)] = str(result)
        else:
            self._sounds.append(result)
        waiting = len(self._sounds) + len(self._failed)
        if waiting >= BATCH_CLIPS or time.monotonic() - self._since > BATCH_SECONDS:
            self.write()

    def write(self) -> None:
        """Write what waits; on an error nothing of it is in the library or the report."""
        if self._sounds or self._failed:
            added = self._library.add(self._sounds, self._failed)
            self._report.added += added
            self._report.duplicates |= self._library.catalogue.twins(added)
            self._report.failed |= self._failed
        self._sounds, self._failed, self._since = [], {}, time.monotonic()
