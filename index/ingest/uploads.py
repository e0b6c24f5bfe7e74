"""Uploaded sounds → clips. The library itself stores the files.

A file is first complete and on disk under a random name, then one transaction adds its clip. If
anything fails before that, the file is removed again (see `index.files.managed_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.index.catalogue.embedded_sound import (
    EmbeddedSound,
    SourceFile,
    metadata_in_file,
)
from earmark.index.catalogue.file_names import metadata_from_path
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import Clip
from earmark.index.files.managed_files import StagedFile
from earmark.index.files.relocation import record_uploads_folder
from earmark.index.library import Library
from earmark.model.embedder import AudioEmbedding


@dataclass(frozen=True)
class Upload:
    """An uploaded sound: its staged file, what the client says of it, its embedding, and its
    file's name at the client."""

    staged: StagedFile
    metadata: Metadata
    embedding: AudioEmbedding
    name: str = ""


@dataclass(frozen=True)
class AddedClip:
    """An added clip; `duplicate_of`: the id of an earlier clip with the same sound, or empty."""

    clip: Clip
    duplicate_of: str


def add(library: Library, uploads: Sequence[Upload]) -> list[AddedClip]:
    """Add uploads in one transaction. Searches find them at once, or when the store is back.

    Raises StorageError, LibraryError: then none is added, and the caller closes the staged files.
    """
    record_uploads_folder(library.catalogue, library.uploads.folder)
    ids = library.add([_embedded_sound(upload) for upload in uploads])
    for upload in uploads:
        upload.staged.commit()
    library.refresh(wait=True)
    duplicates = library.catalogue.duplicates(ids)
    return [
        AddedClip(library.catalogue.clip(clip_id), duplicates.get(clip_id, "")) for clip_id in ids
    ]


def _embedded_sound(upload: Upload) -> EmbeddedSound:
    path = upload.staged.place()
    # Without a title, the catalogue would take the random file name.
    default = metadata_from_path(upload.name)
    in_file = metadata_in_file(upload.embedding.metadata)
    metadata = upload.metadata.with_defaults(in_file).with_defaults(default)
    state = path.stat()
    file = SourceFile(path, metadata, link=upload.name)
    return EmbeddedSound(file, upload.embedding, state.st_size, state.st_mtime_ns)
