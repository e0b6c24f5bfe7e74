"""Bulk adding: files, folders, manifests or another library → clips of this one.

Sounds are embedded by a pipeline (`index.ingest.local`) and written in small transactions, so that
an interruption loses at most the last one. Files that the library already holds unchanged are
skipped: the same command, run again, resumes. What cannot be read is remembered with its reason and
the rest goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from earmark.index.catalogue.catalogue import FILE_NAME as CATALOGUE_FILE
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import Lot, Origin, shown
from earmark.index.catalogue.records import Known, Said, id_problem
from earmark.index.ingest import local
from earmark.index.library import Library
from earmark.model.core import manifest
from earmark.model.core.errors import InputError, ManifestError
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder

Engine = Callable[[Embedder, Sequence[Origin]], Generator[Lot]]

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
        _check(path, row.path, said, row.id)
        yield Origin(row.path.resolve(), said, row.id)


def _check(source: Path, sound: Path, said: Said, clip_id: str) -> None:
    """Raise ManifestError for what a library would not keep, before any work is done."""
    problem = said.problem() or id_problem(clip_id)
    if problem:
        raise ManifestError(f"{source}: {problem} (for {shown(sound.name)})")


def _of_library(folder: Path) -> Iterator[Origin]:
    catalogue = Catalogue.open(folder)
    try:
        for clip in catalogue.clips():
            _check(folder, Path(clip.path), clip.said, clip.id)
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


def add(library: Library, paths: Sequence[Path], engine: Engine = local.embed) -> Report:
    """Add all sounds that the paths stand for. Raises InputError before any work is done.

    `engine` embeds them; each of its lots is written in one transaction. KeyboardInterrupt
    passes through once what was embedded has been written.
    """
    report = Report()
    origins = {str(origin.path): origin for path in paths for origin in expand(path)}
    known = library.catalogue.known_files(list(origins))
    todo: list[Origin] = []
    rest: list[Origin] = []
    for origin in origins.values():
        (rest if _unchanged(origin.path, known) else todo).append(origin)
    _describe(library, rest, known, report)
    with (
        _single_threaded_torch(),  # the engine's threads share the cores
        progress("adding", len(todo), "files") as bar,
        closing(engine(library.embedder, todo)) as lots,
    ):
        for lot in lots:
            added = library.add(lot.sounds, lot.failed)
            report.added += added
            report.duplicates |= library.catalogue.twins(added)
            report.failed |= lot.failed
            bar.step(len(lot))
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
