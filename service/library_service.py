"""Writes to the library while it is searched: clips and feedback. No web framework.

The next search finds what was written. Uploaded sounds are copied to the library's folder under
generated names, and decoded only in processes of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import IO, Any

import anyio.to_thread

from earmark.index import feedback
from earmark.index.catalogue import metadata
from earmark.index.catalogue.metadata import Metadata, MetadataChange
from earmark.index.catalogue.records import Clip
from earmark.index.curation import edits
from earmark.index.curation.edits import EditResult
from earmark.index.curation.verdicts import Judged, Verdict, judge
from earmark.index.errors import LibraryError
from earmark.index.feedback import Feedback, Opinion
from earmark.index.ingest import uploads
from earmark.index.ingest.uploads import AddedClip, Upload
from earmark.index.library import Library
from earmark.model.audio.decode import Source
from earmark.model.core.switching import frequent_switches
from earmark.model.embedder import AudioEmbedding

Embed = Callable[[Source], Awaitable[AudioEmbedding]]


def part_name(name: str) -> str:
    """A file's name as a client sent it, fit to be stored."""
    return metadata.clean_line(name)[: metadata.MAX_TITLE_CHARACTERS]


def clean_metadata(sent: Metadata) -> Metadata:
    """A client's metadata, cleaned for the catalogue. Raises LibraryError where it is too long."""
    clean = sent.clean()
    if problem := clean.problem():
        raise LibraryError(problem)
    return clean


class LibraryService:
    """Writes to a library while it is searched. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self.library = library

    # Clips

    def edit(
        self, clip_id: str, changes: Mapping[str, Any], generation: int | None, by: str
    ) -> Clip:
        """Set metadata fields of a clip. `by`: the name of a key. Raises UnknownClipError,
        ChangedError, LibraryError."""
        clean = clean_metadata(Metadata(**changes))
        clip = self.library.edit(
            clip_id, {name: getattr(clean, name) for name in changes}, generation, by
        )
        self.library.refresh(wait=True)
        return clip

    def edit_clips(
        self,
        rows: Sequence[int],
        change: MetadataChange,
        by: str,
        generations: Mapping[int, int],
    ) -> EditResult:
        """Change the metadata of clips, all or none. Raises as `index.curation.edits`."""
        with frequent_switches():
            result = edits.edit_clips(self.library, rows, change, by, generations)
            self.library.refresh(wait=True)
        return result

    def undo(self, number: int, by: str) -> EditResult:
        """Undo an edit. Raises UnknownEditError."""
        with frequent_switches():
            result = edits.undo(self.library, number, by)
            self.library.refresh(wait=True)
        return result

    def judge(self, verdicts: Sequence[Verdict], by: str, reviewer: str) -> Judged:
        """Store verdicts on suggested tags, all or none. Raises LibraryError, StorageError."""
        judged = judge(self.library, verdicts, by, reviewer)
        if judged.edit is not None:
            self.library.refresh(wait=True)
        return judged

    def remove(self, clip_id: str, generation: int | None) -> None:
        """Remove a clip. Raises UnknownClipError, ChangedError."""
        self.library.remove([clip_id], generation)
        self.library.refresh(wait=True)

    async def add(self, file: IO[bytes], name: str, sent: Metadata, embed: Embed) -> AddedClip:
        """Add an upload. What the client does not say is read from the file, and a title is
        else made from its name.

        Raises what `embed` does, LibraryError, StorageError.
        """
        clean = clean_metadata(sent)
        staged = await anyio.to_thread.run_sync(self.library.uploads.stage, file)
        try:
            upload = Upload(staged, clean, await embed(staged.path), name)
            [added] = await anyio.to_thread.run_sync(uploads.add, self.library, [upload])
            return added
        finally:
            staged.close()

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
    return Opinion(metadata.printable_tags(accepted), metadata.printable_tags(rejected), by)
