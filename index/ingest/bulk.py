"""Bulk adding: files, folders, manifests or another library → clips of this library.

An embedding engine (`index.ingest.local`) embeds the sounds in batches, and each batch is written
in one transaction: an interruption loses at most the last one. Files that the library holds
unchanged are skipped, so the same command resumes. Files that cannot be read are recorded with the
reason, and the others are added.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile, printable_path
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import KnownFile
from earmark.index.files.paths import from_printable, is_folder, is_gone
from earmark.index.ingest import local
from earmark.index.ingest.local import OnHeard
from earmark.index.ingest.moves import MoveFinder
from earmark.index.ingest.walk import Manifests, Walk
from earmark.index.library import Library
from earmark.model.cloud.addresses import is_address
from earmark.model.cloud.cloud_file import StoredFile
from earmark.model.core.progress import Progress, clock, progress
from earmark.model.core.threads import one_thread
from earmark.model.embedder import Embedder

LONG_SECONDS = 60.0  # of a file that have been heard: from then on progress tells them


class EmbeddingEngine(Protocol):
    """Embeds sounds in batches; `on_heard` as `index.ingest.local.embed` calls it, or never."""

    def __call__(
        self, embedder: Embedder, files: Sequence[SourceFile], /, *, on_heard: OnHeard
    ) -> Generator[EmbeddedBatch]:
        """The batches, in any order of the files."""


@dataclass
class AddReport:
    """The result of adding sounds; also the JSON output of `earmark add`.

    `added`: ids. `moved`: clips whose file was found at another path → its path before.
    `described`: known files whose metadata was updated. `duplicates`: added clips that hold the
    same sound as an earlier clip → that one's id. `damaged`: path → the seconds that could not be
    decoded and are left out. `failed`: path → reason. `passed_over`: the files in searched folders
    that are no sounds by their names, counted by ending.
    """

    added: list[str] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    described: int = 0
    unchanged: int = 0
    duplicates: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    passed_over: dict[str, int] = field(default_factory=dict)


def add(
    library: Library,
    paths: Sequence[StoredFile],
    engine: EmbeddingEngine = local.embed,
    manifests: Manifests | None = None,
) -> AddReport:
    """Add all sounds of the paths and addresses. Raises InputError before any work is done.

    `engine` embeds them. KeyboardInterrupt passes through once all embedded sounds are written.
    """
    walk = Walk(manifests)
    files = _find_files(walk, paths)
    report = AddReport(failed=walk.failed, passed_over=dict(walk.passed_over))
    known = library.catalogue.known_files(list(files))
    changed: list[SourceFile] = []
    unchanged: list[SourceFile] = []
    for file in files.values():
        (unchanged if _is_unchanged(file.path, known) else changed).append(file)
    _record_failures(library, walk, unchanged, changed)
    _update_metadata(library, unchanged, known, report)
    moves = MoveFinder(
        library.catalogue,
        {path: known[path] for path in (str(file.path) for file in changed) if path in known},
    )
    with (
        one_thread(),  # the engine's threads share the cores
        progress("adding", len(changed), "files") as bar,
    ):
        for part in _in_turn(changed, known, moves):
            on_heard = partial(_tell, bar)
            with closing(engine(library.embedder, part, on_heard=on_heard)) as batches:
                for batch in batches:
                    _write(library, batch, moves, report)
                    bar.step(len(batch), "")
    report.moved = {
        clip_id: path for clip_id, path in report.moved.items() if clip_id in moves.origins
    }
    report.added = [clip_id for clip_id in report.added if clip_id not in report.moved]
    library.rebuild_store()
    return report


def _tell(bar: Progress, file: SourceFile, seconds: float) -> None:
    """Show how far a long file has been heard."""
    if seconds >= LONG_SECONDS:
        bar.step(0, f"{printable_path(file.path.name)}: {clock(seconds)} heard")


def _in_turn(
    changed: Sequence[SourceFile], known: Mapping[str, KnownFile], moves: MoveFinder
) -> Iterator[list[SourceFile]]:
    """The files to embed: first those that may be moved ones, then known ones that get new samples.

    So a clip is known again at its new path before its old one is overwritten, also where the work
    is interrupted in between. Last come the files that `moves` wants again.
    """
    recorded = {(file.size, file.mtime_ns) for file in known.values()}
    first: list[SourceFile] = []
    last: list[SourceFile] = []
    for file in changed:
        path = str(file.path)
        (first if path not in known or _state(file.path) in recorded else last).append(file)
    yield from filter(None, (first, last))
    if moves.again:
        yield list(moves.again)


def _find_files(walk: Walk, paths: Sequence[StoredFile]) -> dict[str, SourceFile]:
    """Each file once, by its path: with the last metadata that it is given."""
    files: dict[str, SourceFile] = {}
    for path in paths:
        for file in walk.sounds(path):
            if file.metadata != Metadata() or file.id:
                files[str(file.path)] = file
            else:
                files.setdefault(str(file.path), file)
    return files


def _record_failures(
    library: Library, walk: Walk, unchanged: Sequence[SourceFile], changed: Sequence[SourceFile]
) -> None:
    """Record what could not be read, and forget what has gone, of the folders, or is read now."""
    catalogue = library.catalogue
    over = walk.links | {str(file.path) for file in unchanged}
    found = {str(file.path) for file in changed}
    over |= {
        path
        for path in catalogue.failures_under([printable_path(root) for root in walk.roots])
        if _is_over(path, walk, found)
    }
    forgotten = [path for path in catalogue.failures() if path in over and path not in walk.failed]
    if walk.failed or forgotten:
        with library.catalogue.write() as writer:
            for path in forgotten:
                writer.forget_failure(path)
            for path, reason in walk.failed.items():
                writer.record_failure(path, reason)


def _is_over(text: str, walk: Walk, found: Collection[str]) -> bool:
    """Whether a failure is over: its file is gone, or it is a folder, which was searched.

    What is in a store has gone if it was not found in a folder that could be listed.
    """
    if is_address(text):
        return text not in found and not any(
            f"{text}/".startswith(f"{failed}/") for failed in walk.failed
        )
    path = Path(from_printable(text))
    return is_gone(str(path)) or is_folder(path)


def _write(library: Library, batch: EmbeddedBatch, moves: MoveFinder, report: AddReport) -> None:
    """Write a batch in one transaction."""
    found = moves.find(batch.sounds)
    ids = library.add(batch.sounds, batch.failed, found)
    followed = {clip_id: moves.origins[clip_id] for clip_id in ids if clip_id in moves.origins}
    added = [clip_id for clip_id in ids if clip_id not in followed]
    report.added += added
    report.moved |= followed
    report.duplicates |= library.catalogue.duplicates(added)
    report.damaged |= batch.damaged()
    report.failed |= batch.failed


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
        if file.metadata.clean().with_defaults(current) != current:
            updated.append(file)
    if updated:
        with library.catalogue.write() as writer:
            for source in updated:
                writer.update_metadata(str(source.path), source.metadata)
    report.described = len(updated)
    report.unchanged = len(files) - len(updated)


def _is_unchanged(path: StoredFile, known: Mapping[str, KnownFile]) -> bool:
    file = known.get(str(path))
    return file is not None and (file.size, file.mtime_ns) == _state(path)


def _state(path: StoredFile) -> tuple[int, int] | None:
    """A file's size and time; None where the decoder reports why they cannot be known."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns
