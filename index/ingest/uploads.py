"""Uploaded sounds → clips: the library keeps the files of these itself.

First the file is whole and on disk under a random name, then one transaction mentions it. Where
anything fails before that, the file goes again (see `index.files.managed_files`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earmark.index.catalogue.embedded_sound import Origin, Sound
from earmark.index.catalogue.records import Clip, Said
from earmark.index.files.managed_files import Staged
from earmark.index.files.relocation import remember
from earmark.index.library import Library
from earmark.model.embedder import AudioEmbedding

UNTITLED = "Untitled"


@dataclass(frozen=True)
class Upload:
    """A staged sound, embedded, and what is said of it."""

    staged: Staged
    said: Said
    embedding: AudioEmbedding


@dataclass(frozen=True)
class Added:
    """A clip that was added; `twin`: the id of an earlier one whose very sound it has."""

    clip: Clip
    twin: str


def add(library: Library, uploads: Sequence[Upload]) -> list[Added]:
    """Add uploads in one transaction; they can be found at once, or when the store is back.

    Raises StorageError, LibraryError: then none of them is added, and whoever staged them is to
    close them.
    """
    remember(library.catalogue, library.uploads.folder)
    ids = library.add([_sound(upload) for upload in uploads])
    for upload in uploads:
        upload.staged.settle()
    library.refresh(wait=True)
    twins = library.catalogue.twins(ids)
    return [Added(library.catalogue.clip(each), twins.get(each, "")) for each in ids]


def _sound(upload: Upload) -> Sound:
    path = upload.staged.place()
    said = upload.said
    if not said.title:  # else it would be the random name
        said = Said(**{**vars(said), "title": UNTITLED})
    state = path.stat()
    return Sound(Origin(path, said), upload.embedding, state.st_size, state.st_mtime_ns)
