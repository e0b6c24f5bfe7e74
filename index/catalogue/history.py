"""The history of clips' metadata: edits, and what each changed of which clip.

An edit is one transaction that changed metadata; it is numbered from 1. Of each clip the fields
that differ are kept, before and after, as JSON objects: tags are lists of texts, all else texts.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from earmark.index.catalogue.metadata import METADATA_FIELDS, Metadata
from earmark.index.catalogue.records import Means, Origin

Fields = Mapping[str, Any]  # of `Metadata`
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_NOTHING = _ENCODER.encode({})


class Recorder:
    """Records the changes of one transaction as one edit, if there are any."""

    def __init__(self, db: sqlite3.Connection, origin: Origin) -> None:
        self._db, self._origin = db, origin
        self.number: int | None = None
        self._recorded: set[int] = set()  # rows

    def record(self, row: int, before: Metadata, after: Metadata) -> None:
        """Record how a clip's metadata changes; nothing where it does not."""
        self.record_all(((row, before, after),))

    def record_all(self, changes: Iterable[tuple[int, Metadata, Metadata]]) -> None:
        """Record changes of clips: the row, and the metadata before and after."""
        rows = [
            (row, _dump(old), _dump(new))
            for row, before, after in changes
            for old, new in [difference(before, after)]
            if new
        ]
        if not rows:
            return
        number = self._number()
        rows = [
            self._continued(number, *change) if change[0] in self._recorded else change
            for change in rows
        ]
        self._recorded.update(change[0] for change in rows)
        self._db.executemany(
            "INSERT OR REPLACE INTO changes (edit, row, before, after) VALUES (?, ?, ?, ?)",
            ((number, *change) for change in rows),
        )
        self._db.executemany(  # what is as it was before the edit has not changed
            "DELETE FROM changes WHERE edit = ? AND row = ?",
            [(number, row) for row, _, after in rows if after == _NOTHING],
        )

    def _number(self) -> int:
        if self.number is None:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            origin = self._origin
            self.number = self._db.execute(
                "INSERT INTO edits (made_at, made_by, means, undoes) VALUES (?, ?, ?, ?)",
                (now, origin.by, origin.means, origin.undoes),
            ).lastrowid
            if origin.undoes is not None:
                self._note_undone(origin.undoes)
        assert self.number is not None, "an inserted row has a number"
        return self.number

    def _note_undone(self, number: int) -> None:
        """Note that this edit undoes another. If that one undid a third, the third holds again,
        and so on."""
        child: int | None = number
        undone_by = self.number
        while child is not None:
            self._db.execute("UPDATE edits SET undone_by = ? WHERE number = ?", (undone_by, child))
            undone_by = child if undone_by is None else None
            query = "SELECT undoes FROM edits WHERE number = ?"
            (child,) = self._db.execute(query, (child,)).fetchone() or (None,)

    def _continued(self, number: int, row: int, before: str, after: str) -> tuple[int, str, str]:
        """A change of a clip that the same edit may have changed before, as one change."""
        found = self._db.execute(
            "SELECT before, after FROM changes WHERE row = ? AND edit = ?", (row, number)
        ).fetchone()
        if found is None:
            return row, before, after
        first = json.loads(before) | json.loads(found[0])
        last = json.loads(found[1]) | json.loads(after)
        names = [name for name in first if first[name] != last[name]]
        return (
            row,
            _dump({name: first[name] for name in names}),
            _dump({name: last[name] for name in names}),
        )


@dataclass(frozen=True)
class Edit:
    """One transaction that changed metadata. `made_at` in ISO 8601 (UTC); `clips`: how many of its
    clips the library holds still; `undoes`: the edit that it undid; `undone_by`: the one that undid
    it, None where there is none, or where that one has been undone as well."""

    number: int
    made_at: str
    made_by: str
    means: Means
    clips: int
    undoes: int | None
    undone_by: int | None


@dataclass(frozen=True)
class ClipChange:
    """What an edit changed of a clip: the fields that differ, before and after."""

    row: int
    before: Fields
    after: Fields

    @classmethod
    def of(cls, row: int, before: str, after: str) -> ClipChange:
        """From the values of the database."""
        return cls(row, _load(before), _load(after))

    def is_after_in(self, metadata: Metadata) -> bool:
        """Whether all fields that changed are as this change left them."""
        return all(getattr(metadata, name) == value for name, value in self.after.items())

    def undo(self, metadata: Metadata) -> Metadata:
        """The metadata with these fields as before."""
        return replace(metadata, **self.before)


@dataclass(frozen=True)
class PastChange:
    """A change of a clip, and the edit that it is part of."""

    edit: int
    made_at: str
    made_by: str
    means: Means
    undoes: int | None
    before: Fields
    after: Fields


def edits(db: sqlite3.Connection, before: int, limit: int) -> list[Edit]:
    """At most `limit` edits with numbers below `before`, the newest first."""
    found = db.execute(
        "SELECT number, made_at, made_by, means, "
        "(SELECT count(*) FROM changes WHERE edit = number), undoes, undone_by "
        "FROM edits WHERE number < ? ORDER BY number DESC LIMIT ?",
        (before, limit),
    )
    return [Edit(*row) for row in found]


def has_edit(db: sqlite3.Connection, number: int) -> bool:
    """Whether there is an edit with this number."""
    return db.execute("SELECT 1 FROM edits WHERE number = ?", (number,)).fetchone() is not None


def changes_of_edit(
    db: sqlite3.Connection, number: int, after_row: int, limit: int
) -> list[ClipChange]:
    """At most `limit` changes that an edit made, of the clips after a row, by row."""
    found = db.execute(
        "SELECT row, before, after FROM changes WHERE edit = ? AND row > ? ORDER BY row LIMIT ?",
        (number, after_row, limit),
    )
    return [ClipChange.of(*row) for row in found]


def changes_of_clip(
    db: sqlite3.Connection, row: int, before_edit: int, limit: int
) -> list[PastChange]:
    """At most `limit` changes of a clip by edits below a number, the newest first."""
    found = db.execute(
        "SELECT edit, made_at, made_by, means, undoes, before, after "
        "FROM changes JOIN edits ON edits.number = changes.edit "
        "WHERE row = ? AND edit < ? ORDER BY edit DESC LIMIT ?",
        (row, before_edit, limit),
    )
    return [
        PastChange(number, at, by, means, undoes, _load(before), _load(after))
        for number, at, by, means, undoes, before, after in found
    ]


def difference(before: Metadata, after: Metadata) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of two records that differ, of each."""
    names = [name for name in METADATA_FIELDS if getattr(before, name) != getattr(after, name)]
    return (
        {name: getattr(before, name) for name in names},
        {name: getattr(after, name) for name in names},
    )


def _load(text: str) -> Fields:
    fields: dict[str, Any] = json.loads(text)
    return fields | ({"tags": tuple(fields["tags"])} if "tags" in fields else {})


def _dump(fields: Fields) -> str:
    return _ENCODER.encode(fields)
