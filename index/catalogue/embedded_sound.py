"""Sounds on their way into a library: the source file, the embedding, batches of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from earmark.index.catalogue.file_names import (
    category_from_file_name,
    metadata_from_file_name,
)
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import NewClip
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.cloud.cloud_file import StoredFile
from earmark.model.core.errors import AudioError
from earmark.model.embedder import AudioEmbedding

# Longer sounds are found by their windows, which the catalogue stores. Of the 100 everyday queries
# (`tests/everyday.py`) 69 have a right sound first by ear; with windows of all sounds, 66.
LONG_SECONDS = 10.0


@dataclass(frozen=True)
class SourceFile:
    """The file of a sound to add, its metadata, and its preferred id (may be empty).

    `link`: the name of the link that leads to the file, or the one that it has at a client, which
    then tells its title and category; empty if there is none.
    """

    path: StoredFile
    metadata: Metadata = field(default_factory=Metadata)
    id: str = ""
    link: str = ""


def printable_path(path: StoredFile | str) -> str:
    r"""A path as text that UTF-8 can encode: other bytes become \udc80 and so on."""
    return str(path).encode(errors="backslashreplace").decode()


def metadata_in_file(found: FileMetadata) -> Metadata:
    """What a file tells of itself, as the catalogue takes it."""
    if found == FileMetadata():
        return Metadata()
    return Metadata(
        title=found.title,
        tags=found.tags,
        author=found.author,
        licence=found.licence,
        description=found.description,
        recorded=found.recorded,
        source=found.source,
    ).fitted()


@dataclass(frozen=True)
class EmbeddedSound:
    """An embedded sound, and the size and time of its file when it was read."""

    file: SourceFile
    embedding: AudioEmbedding
    size: int
    mtime_ns: int

    def new_clip(self) -> NewClip:
        """The catalogue's record of this sound."""
        file, info, embedding = self.file, self.embedding.info, self.embedding
        stored = slice(None) if info.duration > LONG_SECONDS else slice(0)
        in_file = metadata_in_file(embedding.metadata)
        if file.link:
            in_file = in_file.with_defaults(metadata_from_file_name(file.link))
        return NewClip(
            path=str(file.path),
            id=file.id,
            metadata=file.metadata,
            size=self.size,
            mtime_ns=self.mtime_ns,
            sha256=info.sha256,
            duration=info.duration,
            sample_rate=info.sample_rate,
            channels=info.channels,
            damaged=info.damaged,
            vector=embedding.vector,
            windows=embedding.windows[stored],
            starts=embedding.starts[stored],
            metadata_in_file=in_file,
            loudness=info.loudness,
            category=category_from_file_name(file.link or file.path.name),
        )


@dataclass(frozen=True)
class EmbeddedBatch:
    """Embedded sounds to write in one transaction, and the reasons of failures by path."""

    sounds: list[EmbeddedSound] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sounds) + len(self.failed)

    def damaged(self) -> dict[str, float]:
        """The seconds of damage by path, of the sounds that have any."""
        return {
            str(sound.file.path): sound.embedding.info.damaged
            for sound in self.sounds
            if sound.embedding.info.damaged
        }

    def append(self, file: SourceFile, result: EmbeddedSound | AudioError) -> None:
        """Add the result of one file."""
        if isinstance(result, AudioError):
            self.failed[printable_path(file.path)] = str(result)
        else:
            self.sounds.append(result)
