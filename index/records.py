"""What the catalogue holds and hands out: plain frozen records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clip:
    """A sound of the library."""

    row: int
    id: str
    path: str
    title: str
    tags: tuple[str, ...]
    author: str
    source: str
    licence: str
    duration: float
    sample_rate: int
    channels: int
    added_at: str


@dataclass(frozen=True)
class Said:
    """What people say of a sound. Empty fields say nothing: what was known stays."""

    title: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    source: str = ""
    licence: str = ""

    def over(self, known: Said) -> Said:
        """This, and where it says nothing, what was known."""
        return Said(
            self.title or known.title,
            self.tags or known.tags,
            self.author or known.author,
            self.source or known.source,
            self.licence or known.licence,
        )


@dataclass(frozen=True)
class Known:
    """A file that the library holds: its state when it was read, and what is said of it."""

    size: int
    mtime_ns: int
    said: Said


@dataclass(frozen=True)
class NewClip:
    """A sound to be added, or to take the place of the one with the same path.

    `id` is a wish, kept where nobody has it yet; empty for one made of the sound's sum.
    `windows` [W, D] and `starts` [W] are kept for long sounds, else empty.
    """

    path: str
    id: str
    said: Said
    size: int
    mtime_ns: int
    sha256: str
    duration: float
    sample_rate: int
    channels: int
    vector: Array
    windows: Array
    starts: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """What happened after some generation, up to `generation`.

    Clips that were added or changed: numbers [n], vectors [n, D], and what they are filtered
    by (`tags` separated by spaces); and the numbers of those removed.
    """

    rows: Rows
    vectors: Array
    durations: Array
    licences: list[str]
    sources: list[str]
    tags: list[str]
    removed: Rows
    generation: int
