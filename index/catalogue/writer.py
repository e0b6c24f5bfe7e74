"""The writes of one transaction of the catalogue: put, remove, remember a failure."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from earmark.index.catalogue.records import SAID, NewClip, Said, id_problem
from earmark.index.errors import ChangedError, LibraryError, UnknownClipError

ID_LETTERS = 12


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class Writer:
    """The writes of one transaction; see `Catalogue.write`."""

    def __init__(self, db: sqlite3.Connection, generation: int, dim: int) -> None:
        self._db, self._dim = db, dim
        self.generation = generation

    def put(self, new: NewClip) -> str:
        """Add a clip, or replace the one of the same path, which keeps its id. Returns it.

        Raises LibraryError for vectors that are not of this library, and for texts or ids that
        are too long.
        """
        for name, vectors in (("vector", new.vector[None]), ("windows", new.windows)):
            fits = vectors.ndim == 2 and (vectors.shape[1] == self._dim or not vectors.size)
            if not fits or not np.isfinite(vectors).all():
                raise LibraryError(
                    f"{name}: expected finite vectors of {self._dim} dimensions for {new.path}, "
                    f"got shape {list(vectors.shape)}"
                )
        if not new.vector.size:
            raise LibraryError(f"vector: expected {self._dim} dimensions for {new.path}, got none")
        old = self._held(new.path)
        said = new.said.over(old[2] if old else _by_name(new.path))
        _check(new.said, new.path, new.id)  # what was known stays, from before there were limits
        now = _now()
        values = {
            **{name: getattr(new, name) for name in _PLAIN_FIELDS},
            **said.row(),
            "vector": new.vector.astype(np.float32).tobytes(),
            "changed_at": now,
            "generation": self.generation,
        }
        if old is None:
            clip_id = self._free_id(new.id or new.sha256[:ID_LETTERS])
            row = self._insert({"id": clip_id, **values, "added_at": now})
        else:
            row, clip_id, _ = old
            names = ", ".join(f"{name} = :{name}" for name in values)
            self._db.execute(f"UPDATE clips SET {names} WHERE row = {row}", values)  # noqa: S608
        self._put_windows(row, new)
        self._db.execute("DELETE FROM failures WHERE path = ?", (new.path,))
        return clip_id

    def _held(self, path: str) -> tuple[int, str, Said] | None:
        """The clip of a path: its number, its id, what is said of it."""
        found = self._db.execute(
            f"SELECT row, id, {', '.join(SAID)} FROM clips WHERE path = ?",  # noqa: S608 (own names)
            (path,),
        ).fetchone()
        return (found[0], found[1], Said.of(found[2:])) if found else None

    def _insert(self, values: dict[str, object]) -> int:
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        cursor = self._db.execute(
            f"INSERT INTO clips ({names}) VALUES ({marks})",  # noqa: S608 (own names)
            values,
        )
        return int(cursor.lastrowid or 0)

    def describe(self, path: str, said: Said) -> None:
        """Let what is said of a known file take the place of what was; its vectors stay.

        Raises LibraryError for texts that are too long.
        """
        old = self._held(path)
        if old is None:
            return  # removed meanwhile
        _check(said, path)
        self._say(old[0], said.over(old[2]))

    def edit(self, clip_id: str, changes: Mapping[str, Any], generation: int | None = None) -> None:
        """Let fields of what is said of a clip be these, empty ones too; the others stay.

        `generation`: that the clip is expected to have. Raises UnknownClipError, ChangedError, and
        LibraryError for texts that are too long.
        """
        names = ", ".join(SAID)
        found = self._db.execute(
            f"SELECT row, generation, {names} FROM clips WHERE id = ?",  # noqa: S608 (own names)
            (clip_id,),
        ).fetchone()
        if found is None:
            raise _unknown(clip_id)
        row, own, *said = found
        if generation not in (None, own):
            raise ChangedError(f"id: {clip_id!r} has been changed meanwhile")
        _check(Said(**changes), clip_id)  # what was known stays, from before there were limits
        self._say(row, replace(Said.of(said), **changes))

    def _say(self, row: int, said: Said) -> None:
        values = {**said.row(), "changed_at": _now(), "generation": self.generation}
        names = ", ".join(f"{name} = :{name}" for name in values)
        self._db.execute(f"UPDATE clips SET {names} WHERE row = {row}", values)  # noqa: S608

    def _put_windows(self, row: int, new: NewClip) -> None:
        """A long clip's window vectors, in place of any it had."""
        self._db.execute("DELETE FROM windows WHERE row = ?", (row,))
        if len(new.windows):
            self._db.execute(
                "INSERT INTO windows VALUES (?, ?, ?)",
                (row, new.starts.tobytes(), new.windows.astype(np.float32).tobytes()),
            )

    def _free_id(self, base: str) -> str:
        """The id wished for; where another clip has it (the same sound, say), with a suffix."""
        number = 1
        while True:
            clip_id = base if number == 1 else f"{base}-{number}"
            taken = self._db.execute("SELECT 1 FROM clips WHERE id = ?", (clip_id,)).fetchone()
            if not taken:
                return clip_id
            number += 1

    def relocate(self, old: str, new: str) -> int:
        """Let paths under the folder `old` lead to `new`. Returns how many clips.

        Raises LibraryError where another clip has such a path.
        """
        under = old.rstrip("/") + "/"
        values = {"under": under, "new": new.rstrip("/") + "/", "length": len(under)}
        moved = "path = :new || substr(path, :length + 1)"
        which = "substr(path, 1, :length) = :under"
        try:
            changed = self._db.execute(f"UPDATE clips SET {moved} WHERE {which}", values)  # noqa: S608
        except sqlite3.IntegrityError as error:
            raise LibraryError(f"new: sounds of the library lie under {new} already") from error
        self._db.execute(f"UPDATE OR REPLACE failures SET {moved} WHERE {which}", values)  # noqa: S608
        return changed.rowcount

    def keep_vectors_in(self, store: str) -> None:
        """Remember which vector store follows this catalogue; see `index.stores.factory`."""
        self._db.execute("UPDATE meta SET value = ? WHERE key = 'store'", (store,))

    def remove(self, clip_id: str) -> None:
        """Remove a clip; its file stays. Raises UnknownClipError."""
        found = self._db.execute("SELECT row FROM clips WHERE id = ?", (clip_id,)).fetchone()
        if found is None:
            raise _unknown(clip_id)
        self._db.execute("DELETE FROM clips WHERE row = ?", found)
        self._db.execute("INSERT INTO removed VALUES (?, ?)", (found[0], self.generation))

    def fail(self, path: str, reason: str) -> None:
        """Remember why a file could not be added."""
        self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (path, reason, _now()))


_PLAIN_FIELDS = (
    "path", "size", "mtime_ns", "sha256", "duration", "sample_rate", "channels",
)  # fmt: skip


def _check(said: Said, path: str, clip_id: str = "") -> None:
    problem = said.problem() or id_problem(clip_id)
    if problem:
        raise LibraryError(f"{problem} (for {path})")


def _unknown(clip_id: str) -> UnknownClipError:
    return UnknownClipError(f"id: no clip {clip_id!r} in this library")


def _by_name(path: str) -> Said:
    """All that a file's name says: a title."""
    return Said(title=Path(path).stem.replace("_", " ").replace("-", " "))
