"""Collections: named, ordered sets of clips, the favourites, and searches that are kept.

A collection either holds clips, in an order that people give them, or follows a search: then its
clips are those that the search finds now (`Library.found`). Every write is one transaction.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unicodedata import normalize

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.classifiers import classifier
from earmark.index.catalogue.collections import (
    FAVOURITES,
    Collection,
    collection,
    ordered_rows,
    unknown,
)
from earmark.index.catalogue.metadata import MAX_CHARACTERS, clean_line, clean_lines
from earmark.index.curation.slugs import free_slug
from earmark.index.errors import ChangedError, LibraryError, UnknownClipError
from earmark.index.library import Library
from earmark.index.listing import ClipPage
from earmark.index.search.cursor import LAST_HITS, Cursor
from earmark.index.search.kept_search import KeptSearch
from earmark.model.core.arrays import Rows
from earmark.model.text.text_key import text_key

MAX_COLLECTIONS = 1_000
MAX_CLIPS = 100_000  # of a collection
MAX_NAME_CHARACTERS = 200
GAP = 2**20  # between the places of neighbours

State = tuple[int, int, int]  # of a collection: another one after each change of it


@dataclass(frozen=True)
class ClipsChange:
    """A change of a collection's clips, by their ids: first those of `remove` leave it, then those
    of `move` and the new ones of `add` are put, in this order, before the clip `before`; None: at
    the end. A clip of `add` that is in it already keeps its place."""

    add: Sequence[str] = ()
    remove: Sequence[str] = ()
    move: Sequence[str] = ()
    before: str | None = None


def state_of(found: Collection) -> State:
    """The state that a caller has read, to be given with a change."""
    return found.number, found.generation, found.clips


def rows_of(library: Library, found: Collection) -> Rows:
    """The rows of a collection's clips, in its order; of a kept search best or newest first."""
    if found.follows is None:
        return ordered_rows(library.catalogue, found.number)
    return library.named_rows("collections", found.id)


def page(library: Library, collection_id: str, k: int, cursor: str = "") -> ClipPage:
    """The first k clips of a collection, or the first k after a cursor.

    Raises UnknownCollectionError, CursorError.
    """
    found = collection(library.catalogue, collection_id)
    key = f"collection {found.number}"
    start = Cursor.decode(cursor, key) if cursor else Cursor(0)
    rows = rows_of(library, found).tolist()
    offset = start.offset(rows)
    wanted = rows[offset : offset + k]
    clips = library.catalogue.clips_by_row(wanted)
    end = offset + len(wanted)
    following = Cursor(0, tuple(wanted[-LAST_HITS:]), end).encode(key) if end < len(rows) else ""
    return ClipPage([clips[row] for row in wanted if row in clips], following, len(rows))


def create(
    library: Library,
    name: str,
    description: str = "",
    *,
    clip_ids: Sequence[str] = (),
    follows: KeptSearch | None = None,
) -> Collection:
    """A new collection, of some clips or of what a search finds.

    Raises LibraryError for a name that is taken or none, for texts too long, too many collections
    and clips of a kept search; UnknownClipError, UnknownCollectionError, UnknownClassifierError.
    """
    if follows is not None and clip_ids:
        raise LibraryError("clips: expected none of a collection that follows a search")
    name, description = _texts(name, description)
    with library.catalogue.write() as writer:
        db = writer.database
        (count,) = db.execute("SELECT count(*) FROM collections").fetchone()
        if count >= MAX_COLLECTIONS:
            raise LibraryError(f"collections: expected at most {MAX_COLLECTIONS}, got one more")
        _check_followed(library.catalogue, follows)
        now, new_id = _now(), free_slug(db, "collections", name)
        values = {
            "id": new_id,
            "name": name,
            "name_key": _free_key(db, name),
            "description": description,
            "follows": None if follows is None else follows.to_json(),
            "created_at": now,
            "changed_at": now,
            "generation": writer.generation,
        }
        number = _insert(db, values)
        _put(db, number, _rows_by_id(db, clip_ids), None)
    return collection(library.catalogue, new_id)


def edit(
    library: Library,
    collection_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    follows: KeptSearch | None = None,
    expected: State | None = None,
) -> Collection:
    """Set what is given of a collection; its id stays.

    Raises as `create` does, ChangedError where its state is not the `expected` one.
    """
    with _changing(library, collection_id, expected) as (db, found):
        if follows is not None and found.follows is None:
            raise LibraryError("follows: expected a collection that follows a search already")
        _check_followed(library.catalogue, follows)
        texts = _texts(
            found.name if name is None else name,
            found.description if description is None else description,
        )
        kept = found.follows if follows is None else follows.to_json()
        db.execute(
            "UPDATE collections SET name = ?, description = ?, name_key = ?, follows = ? "
            "WHERE number = ?",
            (*texts, _free_key(db, texts[0], found.number), kept, found.number),
        )
    return collection(library.catalogue, collection_id)


def delete(library: Library, collection_id: str, expected: State | None = None) -> None:
    """Delete a collection; its clips stay in the library.

    Raises LibraryError for the favourites, UnknownCollectionError, ChangedError.
    """
    if collection_id == FAVOURITES:
        raise LibraryError("collection: expected one that can be deleted, the favourites stay")
    with _changing(library, collection_id, expected) as (db, found):
        db.execute("DELETE FROM collections WHERE number = ?", (found.number,))


def change_clips(
    library: Library, collection_id: str, change: ClipsChange, expected: State | None = None
) -> Collection:
    """Change the clips of a collection that holds some; returns it as it is then.

    Raises UnknownCollectionError, UnknownClipError for one to add, ChangedError; LibraryError for a
    kept search, for too many clips, and where a clip to move, or to put others before, is not
    there.
    """
    with _changing(library, collection_id, expected) as (db, found):
        if found.follows is not None:
            raise LibraryError(f"collection: {found.id!r} follows a search and holds no clips")
        _remove(db, found.number, _rows_by_id(db, change.remove, missing_ok=True))
        moved = _rows_by_id(db, change.move, missing_ok=True)
        held = _held(db, found.number, list(moved.values()))
        if len(held) < len({normalize("NFC", clip_id) for clip_id in change.move}):
            raise LibraryError("move: expected clips of this collection, got another")
        added = _rows_by_id(db, change.add)
        present = _held(db, found.number, list(added.values()))
        new = {clip_id: row for clip_id, row in added.items() if row not in present}
        before = None
        if change.before is not None:
            before = next(iter(_rows_by_id(db, [change.before], missing_ok=True).values()), None)
            if before is None or before in held or not _held(db, found.number, [before]):
                raise LibraryError("before: expected a clip of this collection that stays in place")
        _remove(db, found.number, moved)
        _put(db, found.number, {**moved, **new}, before)
    return collection(library.catalogue, collection_id)


@contextmanager
def _changing(
    library: Library, collection_id: str, expected: State | None
) -> Iterator[tuple[sqlite3.Connection, Collection]]:
    """A transaction that changes a collection. Raises UnknownCollectionError, ChangedError."""
    with library.catalogue.write() as writer:
        db = writer.database
        found = db.execute(
            "UPDATE collections SET generation = ?, changed_at = ? WHERE id = ? RETURNING number",
            (writer.generation, _now(), collection_id),
        ).fetchone()
        if found is None:
            raise unknown(collection_id)
        before = collection(library.catalogue, collection_id)  # as committed: none else writes
        if expected not in (None, state_of(before)):
            raise ChangedError(f"collection: {collection_id!r} has been changed meanwhile")
        yield db, before


def _texts(name: str, description: str) -> tuple[str, str]:
    """Name and description as they are kept. Raises LibraryError."""
    name, description = clean_line(name), clean_lines(description)
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        raise LibraryError(
            f"name: expected 1 to {MAX_NAME_CHARACTERS} characters, got {len(name)}: {name[:40]!r}"
        )
    if len(description) > MAX_CHARACTERS["description"]:
        raise LibraryError(
            f"description: expected at most {MAX_CHARACTERS['description']} characters, "
            f"got {len(description)}"
        )
    return name, description


def _free_key(db: sqlite3.Connection, name: str, number: int = 0) -> str:
    """The key of a name that no other collection has. Raises LibraryError."""
    key = text_key(name)
    if db.execute(
        "SELECT 1 FROM collections WHERE name_key = ? AND number != ?", (key, number)
    ).fetchone():
        raise LibraryError(f"name: expected one that no collection has, got {name[:60]!r}")
    return key


def _check_followed(catalogue: Catalogue, follows: KeptSearch | None) -> None:
    """Raise LibraryError where a search is in collections that follow searches themselves,
    UnknownCollectionError, UnknownClassifierError."""
    if follows is None:
        return
    for name in follows.where.collections:
        if collection(catalogue, name).follows is not None:
            raise LibraryError(
                f"follows: expected collections that hold clips, {name[:60]!r} follows a search"
            )
    for name in follows.where.classifiers:
        classifier(catalogue, name)


def _insert(db: sqlite3.Connection, values: Mapping[str, object]) -> int:
    names, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    statement = f"INSERT INTO collections ({names}) VALUES ({places})"  # noqa: S608 (constant names)
    return db.execute(statement, values).lastrowid or 0


def _rows_by_id(
    db: sqlite3.Connection, clip_ids: Sequence[str], *, missing_ok: bool = False
) -> dict[str, int]:
    """The rows of clips, each once, in the order of their ids. Raises UnknownClipError."""
    wanted = list(dict.fromkeys(normalize("NFC", clip_id) for clip_id in clip_ids))
    found = dict(
        db.execute(
            "SELECT id, row FROM clips WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(wanted),),
        )
    )
    if not missing_ok and (missing := [clip_id for clip_id in wanted if clip_id not in found]):
        raise UnknownClipError(f"id: no clip {missing[0]!r} in this library")
    return {clip_id: found[clip_id] for clip_id in wanted if clip_id in found}


def _held(db: sqlite3.Connection, number: int, rows: Sequence[int]) -> set[int]:
    """Those of these rows that a collection holds."""
    return {
        row
        for (row,) in db.execute(
            "SELECT row FROM collection_clips WHERE collection = ? "
            "AND row IN (SELECT value FROM json_each(?))",
            (number, json.dumps(list(rows))),
        )
    }


def _remove(db: sqlite3.Connection, number: int, rows: dict[str, int]) -> None:
    db.executemany(
        "DELETE FROM collection_clips WHERE collection = ? AND row = ?",
        [(number, row) for row in rows.values()],
    )


def _put(db: sqlite3.Connection, number: int, rows: dict[str, int], before: int | None) -> None:
    """Put clips into a collection, before another or at the end. Raises LibraryError."""
    (held,) = db.execute(
        "SELECT count(*) FROM collection_clips WHERE collection = ?", (number,)
    ).fetchone()
    if held + len(rows) > MAX_CLIPS:
        raise LibraryError(f"clips: expected at most {MAX_CLIPS:,}, got {held + len(rows):,}")
    first, step = _places(db, number, len(rows), before)
    if step < 1:
        _space_out(db, number)
        first, step = _places(db, number, len(rows), before)
    db.executemany(
        "INSERT INTO collection_clips VALUES (?, ?, ?)",
        [(number, row, first + place * step) for place, row in enumerate(rows.values())],
    )


def _places(db: sqlite3.Connection, number: int, count: int, before: int | None) -> tuple[int, int]:
    """The first place of `count` clips, and the step between them; 0 where there is no room."""
    (last,) = db.execute(
        "SELECT coalesce(max(place), 0) FROM collection_clips WHERE collection = ?", (number,)
    ).fetchone()
    if before is None:
        return last + GAP, GAP
    (end,) = db.execute(
        "SELECT place FROM collection_clips WHERE collection = ? AND row = ?", (number, before)
    ).fetchone()
    (start,) = db.execute(
        "SELECT max(place) FROM collection_clips WHERE collection = ? AND place < ?", (number, end)
    ).fetchone()
    if start is None:
        return end - GAP * count, GAP
    step = (end - start) // (count + 1)
    return start + step, step


def _space_out(db: sqlite3.Connection, number: int) -> None:
    """Make the gaps between a collection's clips equal."""
    db.execute(
        "UPDATE collection_clips SET place = spaced.place FROM (SELECT row, "
        ":gap * row_number() OVER (ORDER BY place) AS place "
        "FROM collection_clips WHERE collection = :number) AS spaced "
        "WHERE collection_clips.collection = :number AND collection_clips.row = spaced.row",
        {"number": number, "gap": GAP},
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
