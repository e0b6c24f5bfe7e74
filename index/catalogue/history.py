"""The history of clips' metadata: edits, and what each changed of which clip.

An edit is one transaction that changed metadata; it is numbered from 1. Of each clip the fields
that differ are kept, before and after, as JSON objects: tags are lists of texts, all else texts.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from earmark.index.catalogue.metadata import METADATA_FIELDS, Metadata
from earmark.index.catalogue.records import Origin

Fields = Mapping[str, Any]  # of `Metadata`


class Recorder:
    """Records the changes of one transaction as one edit, if there are any."""

    def __init__(self, db: sqlite3.Connection, origin: Origin) -> None:
        self._db, self._origin = db, origin
        self.number: int | None = None

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
        earlier = self._db.execute("SELECT 1 FROM changes WHERE edit = ? LIMIT 1", (number,))
        if earlier.fetchone():
            rows = [self._continued(number, *change) for change in rows]
        self._db.executemany(
            "INSERT OR REPLACE INTO changes (edit, row, before, after) VALUES (?, ?, ?, ?)",
            ((number, *change) for change in rows),
        )

    def _number(self) -> int:
        if self.number is None:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            origin = self._origin
            self.number = self._db.execute(
                "INSERT INTO edits (made_at, made_by, means, undoes) VALUES (?, ?, ?, ?)",
                (now, origin.by, origin.means, origin.undoes),
            ).lastrowid
        assert self.number is not None, "an inserted row has a number"
        return self.number

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


def difference(before: Metadata, after: Metadata) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of two records that differ, of each."""
    names = [name for name in METADATA_FIELDS if getattr(before, name) != getattr(after, name)]
    return (
        {name: getattr(before, name) for name in names},
        {name: getattr(after, name) for name in names},
    )


def _dump(fields: Fields) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
