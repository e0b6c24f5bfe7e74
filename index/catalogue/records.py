"""What the catalogue holds and hands out: plain frozen records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array, Rows


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
    description: str
    duration: float
    sample_rate: int
    channels: int
    added_at: str
    changed_at: str
    sha256: str
    generation: int

    @property
    def said(self) -> Said:
        """What people say of it."""
        return Said(**{name: getattr(self, name) for name in SAID})


@dataclass(frozen=True)
class Said:
    """What people say of a sound. Empty fields say nothing: what was known stays."""

    title: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    source: str = ""
    licence: str = ""
    description: str = ""

    @classmethod
    def of(cls, row: Sequence[str]) -> Said:
        """From values in the order of SAID, tags separated by spaces."""
        title, tags, *rest = row
        return cls(title, tuple(tags.split()), *rest)

    def row(self) -> dict[str, str]:
        """The inverse of `of`, by name."""
        return {name: getattr(self, name) for name in SAID} | {"tags": " ".join(self.tags)}

    def problem(self) -> str | None:
        """What is too long to be kept, in words; None where all is well."""
        for name, most in MOST_LETTERS.items():
            texts = self.tags if name == "tags" else (getattr(self, name),)
            for text in texts:
                if len(text) > most:
                    kind = "tag" if name == "tags" else name
                    return (
                        f"{kind}: expected at most {most} characters, "
                        f"got {len(text)}: {text[:40]!r}…"
                    )
        if len(self.tags) > MOST_TAGS:
            return f"tags: expected at most {MOST_TAGS}, got {len(self.tags)}"
        return None

    def over(self, known: Said) -> Said:
        """This, and where it says nothing, what was known."""
        return Said(
            self.title or known.title,
            self.tags or known.tags,
            self.author or known.author,
            self.source or known.source,
            self.licence or known.licence,
            self.description or known.description,
        )


# The columns of what is said, in the order of Said; how long a text (each tag) may be.
SAID = tuple(field.name for field in fields(Said))
MOST_LETTERS = {
    "title": 1_000,
    "tags": 200,
    "author": 1_000,
    "source": 1_000,
    "licence": 1_000,
    "description": 20_000,
}
MOST_TAGS = 1_000
MOST_ID_LETTERS = 200


def id_problem(clip_id: str) -> str | None:
    """Why an id cannot be kept, in words; None where all is well."""
    if len(clip_id) <= MOST_ID_LETTERS and (clip_id.isprintable() or not clip_id):
        return None
    return f"id: expected at most {MOST_ID_LETTERS} printable characters, got {clip_id[:60]!r}"


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

    Clips that were added or changed: numbers [n], vectors [n, D], what they are filtered by
    (`tags` separated by spaces) and found by; and the numbers of those removed.
    """

    rows: Rows
    vectors: Array
    durations: Array
    licences: list[str]
    sources: list[str]
    tags: list[str]
    titles: list[str]
    descriptions: list[str]
    removed: Rows
    generation: int
