"""Sounds on their way into a library: where they come from, embedded, in lots."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from earmark.index.catalogue.records import NewClip, Said
from earmark.model.core.errors import AudioError
from earmark.model.embedder import AudioEmbedding

LONG_SECONDS = 10.0  # longer sounds also keep window vectors


@dataclass(frozen=True)
class Origin:
    """Where an added sound comes from, what is said of it, and the id it had elsewhere."""

    path: Path
    said: Said = field(default_factory=Said)
    id: str = ""


def shown(path: Path | str) -> str:
    r"""A path as text that any file can hold: bytes that are not UTF-8 as \udc80 and so on."""
    return str(path).encode(errors="backslashreplace").decode()


@dataclass(frozen=True)
class Sound:
    """An embedded sound, and the state of its file when it was read."""

    origin: Origin
    embedding: AudioEmbedding
    size: int
    mtime_ns: int

    def clip(self) -> NewClip:
        """The catalogue's record of it."""
        origin, info, embedding = self.origin, self.embedding.info, self.embedding
        kept = slice(None) if info.duration > LONG_SECONDS else slice(0)
        return NewClip(
            path=str(origin.path),
            id=origin.id,
            said=origin.said,
            size=self.size,
            mtime_ns=self.mtime_ns,
            sha256=info.sha256,
            duration=info.duration,
            sample_rate=info.sample_rate,
            channels=info.channels,
            vector=embedding.vector,
            windows=embedding.windows[kept],
            starts=embedding.starts[kept],
        )


@dataclass(frozen=True)
class Lot:
    """Embedded sounds that are written in one transaction; why others could not be, by path."""

    sounds: list[Sound] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sounds) + len(self.failed)

    def take(self, origin: Origin, result: Sound | AudioError) -> None:
        """One more."""
        if isinstance(result, AudioError):
            self.failed[shown(origin.path)] = str(result)
        else:
            self.sounds.append(result)
