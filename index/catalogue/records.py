"""The catalogue's records: plain frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.metadata import METADATA_FIELDS, Metadata
from earmark.model.core.arrays import Array, Rows

MAX_ID_CHARACTERS = 200
# What changed a clip's metadata: `add` reads files and manifests, `edit` is of one clip.
Means = Literal["add", "edit", "bulk-edit", "undo", "review"]


@dataclass(frozen=True)
class Origin:
    """Where the changes of a transaction come from. `by`: the name of a key, empty without one;
    `undoes`: the number of the edit that they undo."""

    by: str = ""
    means: Means = "add"
    undoes: int | None = None


NO_ORIGIN = Origin()


@dataclass(frozen=True)
class Clip:
    """A sound of the library. Duration in seconds, sample rate in Hz, dates in ISO 8601 (UTC).

    `damaged`: the seconds of the file that could not be decoded and are left out. `loudness`: in
    LUFS, None where it is not known. `category`: the CatID of the Universal Category System in the
    name of its file; empty if there is none.
    """

    row: int
    id: str
    path: str
    title: str
    tags: tuple[str, ...]
    author: str
    source: str
    licence: str
    description: str
    recorded: str
    duration: float
    sample_rate: int
    channels: int
    damaged: float
    loudness: float | None
    category: str
    added_at: str
    changed_at: str
    sha256: str
    generation: int

    @property
    def metadata(self) -> Metadata:
        """The clip's metadata."""
        return Metadata(**{name: getattr(self, name) for name in METADATA_FIELDS})


def id_problem(clip_id: str) -> str | None:
    """A message about an id that is too long or not printable; None if it is valid."""
    if len(clip_id) <= MAX_ID_CHARACTERS and (clip_id.isprintable() or not clip_id):
        return None
    return f"id: expected at most {MAX_ID_CHARACTERS} printable characters, got {clip_id[:60]!r}"


@dataclass(frozen=True)
class KnownFile:
    """A file that the library holds: its size and time when it was read, and its metadata."""

    size: int
    mtime_ns: int
    metadata: Metadata


@dataclass(frozen=True)
class HeldSound:
    """A clip's sound (its SHA-256) and file: its path, and its size and time when it was read."""

    clip_id: str
    path: str
    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Move:
    """A clip whose file lies at another path than before."""

    clip_id: str
    before: str
    after: str


@dataclass(frozen=True)
class NewClip:
    """A clip to add, or to replace the one with the same path.

    `metadata`: what people say of it; `metadata_in_file`: what its file says, where they do not.
    `id`: the preferred id, with a suffix if it is taken; empty for one made from `sha256`.
    `windows` [W, D] and `starts` [W] (seconds) are stored for long sounds, else empty. `loudness`:
    in LUFS, None where it is not known; `category`: as of Clip.
    """

    path: str
    id: str
    metadata: Metadata
    size: int
    mtime_ns: int
    sha256: str
    duration: float
    sample_rate: int
    channels: int
    damaged: float
    vector: Array
    windows: Array
    starts: npt.NDArray[np.float64]
    metadata_in_file: Metadata = field(default_factory=Metadata)
    loudness: float | None = None
    category: str = ""


@dataclass(frozen=True)
class Changes:
    """All writes after some generation, up to `generation`.

    Of the n clips added or changed: `rows` [n]; `vectors` [m, D], clip by clip, first the clip's
    own, then those of its windows (`index.catalogue.moment_vectors`); where each clip's `ends` [n]
    in them; `durations` [n] in seconds; `loudness` [n] in LUFS, NaN where it is not known; the days
    since 1970 on which they were `added` [n]; and the rest that stores filter and match by (`tags`
    separated by spaces).
    `removed`: the rows of removed clips. `edited`: clips that have other metadata, but the sounds
    they had, where they are told apart: without vectors.
    """

    rows: Rows
    vectors: Array
    ends: Rows
    durations: Array
    loudness: Array
    added: npt.NDArray[np.int32]
    sample_rates: list[int]
    channels: list[int]
    licences: list[str]
    sources: list[str]
    categories: list[str]
    tags: list[str]
    titles: list[str]
    descriptions: list[str]
    removed: Rows
    generation: int
    edited: Changes | None = None
