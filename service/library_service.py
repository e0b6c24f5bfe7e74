"""Writes to the library while it is searched: clips, jobs and feedback. No web framework.

The next search finds what was written. Uploaded sounds are copied to the library's folder under
generated names, and decoded only in processes of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any

import anyio.to_thread

from earmark.index import feedback
from earmark.index.catalogue import metadata
from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import Clip
from earmark.index.errors import LibraryError
from earmark.index.feedback import Feedback, Opinion
from earmark.index.files.managed_files import ManagedFiles, StagedFile
from earmark.index.ingest import local, uploads
from earmark.index.ingest.uploads import AddedClip, Upload
from earmark.index.library import Library
from earmark.model.audio.decode import Source
from earmark.model.embedder import AudioEmbedding
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.workers.jobs import Failure, Job

Embed = Callable[[Source], Awaitable[AudioEmbedding]]


@dataclass(frozen=True)
class Part:
    """A sound of a job: its place from 0, the name the client gave it, and where it waits."""

    number: int
    name: str
    staged: StagedFile


def clean_metadata(sent: Metadata) -> Metadata:
    """A client's metadata, cleaned for the catalogue. Raises LibraryError where it is too long."""
    clean = Metadata(
        metadata.clean_line(sent.title),
        metadata.clean_tags(sent.tags),
        metadata.clean_line(sent.author),
        metadata.clean_line(sent.source),
        metadata.clean_line(sent.licence),
        metadata.clean_lines(sent.description),
    )
    if problem := clean.problem():
        raise LibraryError(problem)
    return clean


class LibraryService:
    """Writes to a library while it is searched. Safe to share between threads.

    `readers`: processes that decode the sounds of jobs; `max_seconds`: longest such sound.
    """

    def __init__(
        self, library: Library, readers: DecodePool, max_seconds: float | None = None
    ) -> None:
        self.library, self._readers, self._max_seconds = library, readers, max_seconds

    # Clips

    def edit(self, clip_id: str, changes: Mapping[str, Any], generation: int | None) -> Clip:
        """Set metadata fields of a clip. Raises UnknownClipError, ChangedError, LibraryError."""
        clean = clean_metadata(Metadata(**changes))
        clip = self.library.edit(
            clip_id, {name: getattr(clean, name) for name in changes}, generation
        )
        self.library.refresh(wait=True)
        return clip

    def remove(self, clip_id: str, generation: int | None) -> None:
        """Remove a clip. Raises UnknownClipError, ChangedError."""
        self.library.remove([clip_id], generation)
        self.library.refresh(wait=True)

    async def add(self, file: IO[bytes], name: str, sent: Metadata, embed: Embed) -> AddedClip:
        """Add an upload. Without a title it gets one from the file's name.

        Raises what `embed` does, LibraryError, StorageError.
        """
        clean = clean_metadata(sent)
        clean = replace(clean, title=clean.title or metadata.title_from_file_name(name))
        staged = await anyio.to_thread.run_sync(self.library.uploads.stage, file)
        try:
            upload = Upload(staged, clean, await embed(staged.path))
            [added] = await anyio.to_thread.run_sync(uploads.add, self.library, [upload])
            return added
        finally:
            staged.close()

    # Jobs

    def stage(self, files: Sequence[tuple[IO[bytes], str]]) -> list[Part]:
        """Copy a job's sounds (each with its name) to disk, all or none. Raises StorageError."""
        return [
            Part(number, metadata.clean_line(name)[: metadata.MAX_TITLE_CHARACTERS], staged)
            for number, ((_, name), staged) in enumerate(
                zip(files, _staged(self.library.uploads, [file for file, _ in files]), strict=True)
            )
        ]

    def job(self, parts: Sequence[Part], said: Metadata) -> Job:
        """A job that adds the sounds, of each of which this is said (`clean_metadata`)."""

        def discard() -> None:
            for part in parts:
                part.staged.close()

        return Job(len(parts), lambda job: self._add_all(parts, said, job), discard)

    def _add_all(self, parts: Sequence[Part], said: Metadata, job: Job) -> None:
        waiting = {str(part.staged.path): part for part in parts}
        origins = [
            SourceFile(
                part.staged.path, replace(said, title=metadata.title_from_file_name(part.name))
            )
            for part in parts
        ]
        with closing(
            local.embed(self.library.embedder, origins, 1, self._readers, self._max_seconds)
        ) as lots:
            for lot in lots:
                if job.cancelled:
                    return
                self._take(lot, waiting, job)

    def _take(self, lot: EmbeddedBatch, waiting: Mapping[str, Part], job: Job) -> None:
        """Add what a lot holds, in one transaction, and tell the job."""
        ready = [
            Upload(waiting[str(each.file.path)].staged, each.file.metadata, each.embedding)
            for each in lot.sounds
        ]
        added = uploads.add(self.library, ready) if ready else []
        failed = []
        for path, reason in lot.failed.items():
            part = waiting[path]
            # Messages begin with the name of the file, which is ours.
            failed.append(Failure(part.number, part.name, reason.partition(": ")[2] or reason))
        job.take([(each.clip.id, each.duplicate_of) for each in added], failed)

    # Feedback

    def feedback_on_clip(
        self, clip_id: str, accepted: Sequence[str], rejected: Sequence[str], by: str
    ) -> Feedback:
        """Store feedback on a clip. Raises UnknownClipError first, LibraryError, StorageError."""
        self.library.catalogue.clip(clip_id)
        return feedback.add_for_clip(self.library, clip_id, _opinion(accepted, rejected, by))

    async def feedback_on_sound(
        self,
        file: IO[bytes],
        name: str,
        accepted: Sequence[str],
        rejected: Sequence[str],
        by: str,
        embed: Embed,
    ) -> Feedback:
        """Store feedback on an uploaded sound, and the sound.

        Raises what `embed` does, LibraryError, StorageError.
        """
        opinion = _opinion(accepted, rejected, by)
        staged = await anyio.to_thread.run_sync(self.library.feedback_sounds.stage, file)
        try:
            sha256 = (await embed(staged.path)).info.sha256
            title = metadata.title_from_file_name(name)
            return await anyio.to_thread.run_sync(
                feedback.add_for_sound, self.library, staged, sha256, title, opinion
            )
        finally:
            staged.close()


def _opinion(accepted: Sequence[str], rejected: Sequence[str], by: str) -> Opinion:
    return Opinion(metadata.clean_tags(accepted), metadata.clean_tags(rejected), by)


def _staged(files: ManagedFiles, sounds: Sequence[IO[bytes]]) -> list[StagedFile]:
    staged: list[StagedFile] = []
    try:
        for sound in sounds:
            staged.append(files.stage(sound))
    except BaseException:
        for each in staged:
            each.close()
        raise
    return staged
