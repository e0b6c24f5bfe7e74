"""The work of a job: its sounds become clips of the library, a batch at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress

from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.files.managed_files import file_name
from earmark.index.ingest import local, uploads
from earmark.index.ingest.uploads import Upload
from earmark.index.library import Library
from earmark.model.core.progress import clock
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.workers.job_store import AddedPart, FailedPart, JobPart, RunningJob

log = logging.getLogger(__name__)

LONG_SECONDS = 60.0  # of a sound that have been heard: from then on it is told
TELL_SECONDS = 10.0  # between two times


def add_parts(
    job: RunningJob, *, library: Library, readers: DecodePool, max_seconds: float | None
) -> None:
    """Add a job's parts and record them with it, until none is left or it is stopping.

    `readers`: processes that decode; `max_seconds`: the longest sound that is added. Of a long
    sound it tells the log and the job's readers how far it is, and stops amid it where it has to.
    Raises StorageError, LibraryError.
    """
    shared = Metadata(**{**job.metadata, "tags": tuple(job.metadata["tags"])})
    parts = _without_added(job, library) if job.resumed else job.parts
    by_path = {str(part.path): part for part in parts}
    files = [SourceFile(part.path, shared) for part in parts]
    teller = _Teller(job, by_path)
    embedded = local.embed(
        library.embedder, files, 1, readers, max_seconds, on_heard=teller.on_heard
    )
    with closing(embedded) as batches, suppress(_StoppedError):
        for batch in batches:
            if job.stopping:
                return
            _add_batch(batch, by_path, job, library)


class _StoppedError(Exception):
    """The job is stopping amid a sound."""


class _Teller:
    """Tells how far a long sound is."""

    def __init__(self, job: RunningJob, by_path: Mapping[str, JobPart]) -> None:
        self._job, self._by_path = job, by_path
        self._last = time.monotonic()

    def on_heard(self, file: SourceFile, seconds: float) -> None:
        """Raises _StoppedError."""
        if seconds < LONG_SECONDS:
            return
        if self._job.stopping:
            raise _StoppedError
        if time.monotonic() - self._last >= TELL_SECONDS:
            self._last = time.monotonic()
            part = self._by_path[str(file.path)]
            log.info("job %d: part %d: %s heard", self._job.number, part.number, clock(seconds))
            self._job.tell(part, seconds)


def _add_batch(
    batch: EmbeddedBatch, by_path: Mapping[str, JobPart], job: RunningJob, library: Library
) -> None:
    """Add the sounds of a batch in one transaction, then record them with the job."""
    parts = [by_path[str(sound.file.path)] for sound in batch.sounds]
    with ExitStack() as stack:
        ready = []
        for part, sound in zip(parts, batch.sounds, strict=True):
            staged = library.uploads.adopt(part.path, part.stem)
            stack.callback(staged.close)
            ready.append(Upload(staged, sound.file.metadata, sound.embedding, part.name))
        added = uploads.add(library, ready) if ready else []
    failed = []
    for path, reason in batch.failed.items():
        part = by_path[path]
        # A reason begins with the name of the file, which is not the client's.
        failed.append(FailedPart(part.number, part.name, reason.partition(": ")[2] or reason))
    job.record(
        [
            AddedPart(part, one.clip.id, one.duplicate_of)
            for part, one in zip(parts, added, strict=True)
        ],
        failed,
    )


def _without_added(job: RunningJob, library: Library) -> list[JobPart]:
    """The parts that are no clips yet. Records those that a run has added but not recorded."""
    paths: dict[str, JobPart] = {}
    for part in job.parts:
        if part.path.exists():
            name = file_name(part.stem, part.path)
            paths[str(library.uploads.folder / name)] = part
    found = library.catalogue.ids_by_path(list(paths))
    if not found:
        return job.parts
    duplicates = library.catalogue.duplicates(list(found.values()))
    job.record(
        [AddedPart(paths[path], clip, duplicates.get(clip, "")) for path, clip in found.items()],
        [],
    )
    done = {paths[path].number for path in found}
    return [part for part in job.parts if part.number not in done]
