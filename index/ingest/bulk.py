"""Bulk adding: files, folders, manifests or another library → clips of this library.

An embedding engine (`index.ingest.local`) embeds the sounds in batches, and each batch is written
in one transaction: an interruption loses at most the last one. Files that the library holds
unchanged are skipped, so the same command resumes. Files that cannot be read are recorded with the
reason, and the others are added.
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
from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile, printable_path
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import KnownFile, id_problem
from earmark.index.ingest import local
from earmark.index.library import Library
from earmark.model.core import manifest
from earmark.model.core.errors import InputError, ManifestError
from earmark.model.core.progress import progress
from earmark.model.embedder import Embedder

EmbeddingEngine = Callable[[Embedder, Sequence[SourceFile]], Generator[EmbeddedBatch]]

SUFFIXES = frozenset(  # of the files that are added with their folder
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64 .m4a .aac .webm .mp4 .wma"
    .split()
)  # fmt: skip


@dataclass
class AddReport:
    """The result of adding sounds; also the JSON output of `earmark add`.

    `added`: ids. `described`: known files whose metadata was updated. `duplicates`: added clips
    that hold the same sound as an earlier clip → that one's id. `failed`: path → reason.
    """

    added: list[str] = field(default_factory=list)
    described: int = 0
    unchanged: int = 0
    duplicates: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def find_sounds(path: Path) -> Iterator[SourceFile]:
    """The sounds of a path: a file, a manifest, a library or a folder of sounds.

    Raises InputError if it does not exist or cannot be read, ManifestError, LibraryError.
    """
    if path.is_dir():
        if (path / CATALOGUE_FILE).is_file():
            yield from _sounds_of_library(path)
        else:
            yield from _sounds_of_folder(path)
    elif path.suffix.lower() == ".csv":
        yield from _sounds_of_manifest(path)
    elif path.exists():
        yield SourceFile(path.resolve())
    else:
        raise InputError(f"path: no such file or folder: {path}")


def _sounds_of_manifest(path: Path) -> Iterator[SourceFile]:
    for row in manifest.read_manifest(path):
        metadata = Metadata(
            row.title,
            row.tags,
            row.author,
            row.source,
            row.licence,
            row.description,
            row.recorded,
        )
        _check(path, row.path, metadata, row.id)
        yield SourceFile(row.path.resolve(), metadata, row.id)


def _sounds_of_library(folder: Path) -> Iterator[SourceFile]:
    catalogue = Catalogue.open(folder)
    try:
        for clip in catalogue.clips():
            _check(folder, Path(clip.path), clip.metadata, clip.id)
            yield SourceFile(Path(clip.path), clip.metadata, clip.id)
    finally:
        catalogue.close()


def _check(origin: Path, sound: Path, metadata: Metadata, clip_id: str) -> None:
    """Raise ManifestError for metadata over the catalogue's limits, before any work is done."""
    problem = metadata.problem() or id_problem(clip_id)
    if problem:
        raise ManifestError(f"{origin}: {problem} (for {printable_path(sound.name)})")


def _sounds_of_folder(folder: Path) -> Iterator[SourceFile]:
    def refuse(error: OSError) -> None:
        raise InputError(f"path: {error.filename} cannot be read ({error.strerror})") from error

    for parent, folders, names in os.walk(folder.resolve(), onerror=refuse):
        folders.sort()
        for name in sorted(names):
            if is_sound(Path(name)):
                yield SourceFile(Path(parent) / name)


def is_sound(path: Path) -> bool:
    """Whether the file is added when its folder is added, by its name."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def add(
    library: Library, paths: Sequence[Path], engine: EmbeddingEngine = local.embed
) -> AddReport:
    """Add all sounds of the paths. Raises InputError before any work is done.

    `engine` embeds them. KeyboardInterrupt passes through once all embedded sounds are written.
    """
    report = AddReport()
    files = {str(file.path): file for path in paths for file in find_sounds(path)}
    known = library.catalogue.known_files(list(files))
    changed: list[SourceFile] = []
    unchanged: list[SourceFile] = []
    for file in files.values():
        (unchanged if _is_unchanged(file.path, known) else changed).append(file)
    _update_metadata(library, unchanged, known, report)
    with (
        _single_threaded_torch(),  # the engine's threads share the cores
        progress("adding", len(changed), "files") as bar,
        closing(engine(library.embedder, changed)) as batches,
    ):
        for batch in batches:
            added = library.add(batch.sounds, batch.failed)
            report.added += added
            report.duplicates |= library.catalogue.duplicates(added)
            report.failed |= batch.failed
            bar.step(len(batch))
    return report


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _update_metadata(
    library: Library,
    files: Sequence[SourceFile],
    known: Mapping[str, KnownFile],
    report: AddReport,
) -> None:
    """Update the metadata of files that need not be read again, where it differs."""
    updated = []
    for file in files:
        current = known[str(file.path)].metadata
        if file.metadata.with_defaults(current) != current:
            updated.append(file)
    if updated:
        with library.catalogue.write() as writer:
            for source in updated:
                writer.update_metadata(str(source.path), source.metadata)
    report.described = len(updated)
    report.unchanged = len(files) - len(updated)


def _is_unchanged(path: Path, known: Mapping[str, KnownFile]) -> bool:
    try:
        state = path.stat()
    except OSError:
        return False  # the decoder reports the reason
    file = known.get(str(path))
    return file is not None and (file.size, file.mtime_ns) == (state.st_size, state.st_mtime_ns)
