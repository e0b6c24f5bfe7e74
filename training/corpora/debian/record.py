"""The record of a finished package: `record.json` beside its clips.

A package's folder appears by a rename, so a folder with a record is complete.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from earmark.training.errors import CorpusError

FILE_NAME = "record.json"
COPYRIGHT = "copyright.txt"


@dataclass(frozen=True)
class ClipRecord:
    """A clip: its file in the package's folder, its sound's path in the package, its metadata."""

    file: str
    member: str
    tags: tuple[str, ...]
    licence: str
    author: str
    seconds: float
    sha256: str  # of the whole sound, decoded


@dataclass(frozen=True)
class PackageRecord:
    """A finished package. `rules`: a hash of all that determined its clips."""

    name: str
    version: str
    sha256: str
    pinned: bool
    rules: str
    upstream: str
    clips: tuple[ClipRecord, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)  # reason → sounds

    def write(self, folder: Path) -> None:
        """Write `record.json`."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")


def read_record(folder: Path) -> PackageRecord | None:
    """The record in a package's folder; None where there is none. Raises CorpusError."""
    file = folder / FILE_NAME
    if not file.exists():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        clips = [
            ClipRecord(**(clip | {"tags": tuple(clip["tags"])})) for clip in values.pop("clips")
        ]
        return PackageRecord(**values, clips=tuple(clips))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CorpusError(f"{file}: not a record of a package; remove {folder} to go on") from error
