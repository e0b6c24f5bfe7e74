"""Edits of clips, one or many at once, their history, and undoing them.

An edit is one transaction: all of its clips change, or none. Which clips it changes is settled
before it begins: those that are removed meanwhile are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from earmark.index.catalogue import history
from earmark.index.catalogue.history import Edit, PastChange
from earmark.index.catalogue.metadata import MetadataChange
from earmark.index.catalogue.records import Clip, Origin
from earmark.index.errors import CursorError, LibraryError, UnknownClipError
from earmark.index.library import Library
from earmark.index.types import Filter
from earmark.model.core.collector import no_collection

MAX_EDITED = 200_000  # clips of an edit: other processes wait for it only so long
NEWEST = 2**62  # above the number of every edit


@dataclass(frozen=True)
class EditResult:
    """What an edit did. `number`: None where nothing changed; `unchanged`: clips that were as the
    edit wanted them; `conflicts`: ids of clips that an undo left, as they have changed since."""

    number: int | None
    changed: int
    unchanged: int = 0
    conflicts: tuple[str, ...] = field(default=())


def rows_of(library: Library, ids: Sequence[str]) -> list[int]:
    """The rows of the clips with these ids. Raises UnknownClipError."""
    clips = library.catalogue.clips_by_id(ids)
    for clip_id in ids:
        if clip_id not in clips:
            raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
    return list({clips[clip_id].row: None for clip_id in ids})


def found_rows(
    library: Library, where: Filter, words: str = "", min_probability: float = 0.0
) -> list[int]:
    """The rows of the clips that a search stands for (`Library.found`).

    Raises LibraryError for words that are only spaces, and for a probability without words: both
    would else stand for all clips. UnknownCollectionError, UnknownClassifierError.
    """
    if words and not words.strip():
        raise LibraryError("q: expected words, got only spaces")
    if min_probability and not words:
        raise LibraryError("min_probability: expected words to find, got none")
    rows: list[int] = library.found(words, where, min_probability).tolist()
    return rows


def edit_clips(
    library: Library,
    rows: Sequence[int],
    change: MetadataChange,
    by: str = "",
    generations: Mapping[int, int] | None = None,
) -> EditResult:
    """Change the metadata of clips, all or none. `by`: the name of a key.

    `generations`: of clips that must still have theirs. Raises ChangedError, and LibraryError for
    more than MAX_EDITED clips, texts that are too long and too many tags.
    """
    if len(rows) > MAX_EDITED:
        raise LibraryError(f"where: expected at most {MAX_EDITED} clips at once, got {len(rows)}")
    with no_collection(), library.catalogue.write(Origin(by, "bulk-edit")) as writer:
        changed = writer.edit_all(rows, change, generations or {})
        return EditResult(writer.edit_number, changed, len(rows) - changed)


def undo(library: Library, number: int, by: str = "") -> EditResult:
    """Give clips what they had before an edit, where it is as the edit left it; the others are
    conflicts. Undoing an undo does it again. Raises UnknownEditError."""
    with no_collection(), library.catalogue.write(Origin(by, "undo", number)) as writer:
        changed, conflicts = writer.undo(number)
        return EditResult(writer.edit_number, changed, conflicts=tuple(conflicts))


def list_edits(library: Library, k: int, cursor: str = "") -> tuple[list[Edit], str]:
    """The newest edits, or those after a cursor, and the next page's cursor, empty after the last.

    Raises CursorError.
    """
    with library.catalogue.database.read_transaction() as db:
        found = history.edits(db, _number(cursor), k + 1)
    return found[:k], str(found[k - 1].number) if len(found) > k else ""


def clip_history(
    library: Library, clip_id: str, k: int, cursor: str = ""
) -> tuple[Clip, list[PastChange], str]:
    """A clip, its last changes or those after a cursor, and the next page's cursor, empty after the
    last. Raises UnknownClipError, CursorError."""
    clip = library.catalogue.clip(clip_id)
    with library.catalogue.database.read_transaction() as db:
        found = history.changes_of_clip(db, clip.row, _number(cursor), k + 1)
    return clip, found[:k], str(found[k - 1].edit) if len(found) > k else ""


def _number(cursor: str) -> int:
    """The number of the last edit of the page before. Raises CursorError."""
    if not cursor:
        return NEWEST
    if len(cursor) > 18 or not (cursor.isascii() and cursor.isdigit()):
        raise CursorError(f"cursor: expected one that a list gave, got {cursor[:40]!r}")
    return int(cursor)
