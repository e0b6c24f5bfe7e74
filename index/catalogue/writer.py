"""The writes of one catalogue transaction: add, edit and remove clips, record failures."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any
from unicodedata import normalize

import numpy as np

from earmark.index.catalogue.file_names import category_from_file_name, metadata_from_path
from earmark.index.catalogue.history import Recorder, changes_of_edit, has_edit
from earmark.index.catalogue.metadata import (
    MAX_TAGS,
    METADATA_FIELDS,
    UNTITLED,
    Metadata,
    MetadataChange,
    title_from_file_name,
)
from earmark.index.catalogue.records import (
    NO_ORIGIN,
    HeldSound,
    Move,
    NewClip,
    Origin,
    id_problem,
)
from earmark.index.errors import ChangedError, LibraryError, UnknownClipError, UnknownEditError

# Of a clip that gets another generation, but no other sound.
SAME_SOUND = "sound_generation = coalesce(sound_generation, generation)"
BLOCK = 200  # clips read at a time
ID_CHARACTERS = 12  # of an id made from a sound's SHA-256

_FILE_COLUMNS = (
    "path", "size", "mtime_ns", "sha256", "duration", "sample_rate", "channels", "damaged",
    "loudness", "category",
)  # fmt: skip


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class Writer:
    """The writes of one transaction; see `Catalogue.write`."""

    def __init__(
        self, db: sqlite3.Connection, generation: int, dim: int, origin: Origin = NO_ORIGIN
    ) -> None:
        self._db, self._dim = db, dim
        self.generation = generation
        self._recorder = Recorder(db, origin)

    @property
    def database(self) -> sqlite3.Connection:
        """The transaction's connection, for other tables in the same file."""
        return self._db

    @property
    def edit_number(self) -> int | None:
        """The number under which the changes of metadata are kept; None before the first."""
        return self._recorder.number

    def put(self, new: NewClip) -> str:
        """Add a clip, or replace the one with the same path, which keeps its id. Returns the id.

        A field of its metadata is what `new` says; else what the clip has already; else what the
        file says; else what the file's name tells. A title that an earlier write made of the
        name counts as none.

        Raises LibraryError for vectors of another dimension or not finite, and for texts or ids
        that are too long.
        """
        self._check_vectors(new)
        preferred_id, metadata = normalize("NFC", new.id), new.metadata.clean()
        # Only the new metadata is checked: the existing may be older than the limits.
        _check(metadata, new.path, preferred_id)
        existing = self._find_path(new.path)
        metadata = _merged(metadata, existing and existing[2], new)
        now = _now()
        values = {
            **{name: getattr(new, name) for name in _FILE_COLUMNS},
            **metadata.to_row(),
            "vector": new.vector.astype(np.float32).tobytes(),
            "changed_at": now,
            "generation": self.generation,
            "sound_generation": self.generation,
        }
        if existing is None:
            clip_id = free_id(self._db, preferred_id or new.sha256[:ID_CHARACTERS])
            row = self._insert({"id": clip_id, **values, "added_at": now})
        else:
            row, clip_id, before = existing
            self._update(row, values)
            self._recorder.record(row, before, metadata)
        self._replace_windows(row, new)
        self._db.execute("DELETE FROM failures WHERE path = ?", (new.path,))
        return clip_id

    def _check_vectors(self, new: NewClip) -> None:
        file = PurePath(new.path).name  # a client may read it: no path
        for name, vectors in (("vector", new.vector[None]), ("windows", new.windows)):
            fits = vectors.ndim == 2 and (vectors.shape[1] == self._dim or not vectors.size)
            if not fits or not np.isfinite(vectors).all():
                raise LibraryError(
                    f"{name}: expected finite vectors of {self._dim} dimensions for {file}, "
                    f"got shape {list(vectors.shape)}"
                )
        if not new.vector.size:
            raise LibraryError(f"vector: expected {self._dim} dimensions for {file}, got none")

    def _find_path(self, path: str) -> tuple[int, str, Metadata] | None:
        """The row, id and metadata of the clip with a path."""
        names = ", ".join(METADATA_FIELDS)
        found = self._db.execute(
            f"SELECT row, id, {names} FROM clips WHERE path = ?",  # noqa: S608 (constant names)
            (path,),
        ).fetchone()
        return (found[0], found[1], Metadata.from_row(found[2:])) if found else None

    def _insert(self, values: Mapping[str, object]) -> int:
        names, placeholders = ", ".join(values), ", ".join(f":{name}" for name in values)
        cursor = self._db.execute(
            f"INSERT INTO clips ({names}) VALUES ({placeholders})",  # noqa: S608 (constant names)
            values,
        )
        return int(cursor.lastrowid or 0)

    def _update(self, row: int, values: Mapping[str, object]) -> None:
        names = ", ".join(f"{name} = :{name}" for name in values)
        self._db.execute(f"UPDATE clips SET {names} WHERE row = {row}", values)  # noqa: S608 (constant names)

    def update_metadata(self, path: str, metadata: Metadata) -> None:
        """Update a clip's metadata by its path; empty fields and its vectors stay.

        Does nothing if no clip has that path. Raises LibraryError for texts that are too long.
        """
        existing = self._find_path(path)
        if existing is None:
            return  # removed meanwhile
        metadata = metadata.clean()
        _check(metadata, path)
        self._write_metadata(existing[0], existing[2], metadata.with_defaults(existing[2]))

    def restore_metadata(self, clip_id: str, metadata: Metadata) -> None:
        """Set a clip's metadata to what it was; does nothing if there is no such clip."""
        if found := self._find(clip_id):
            self._write_metadata(found[0], found[2], metadata)

    def edit(self, clip_id: str, changes: Mapping[str, Any], generation: int | None = None) -> None:
        """Set metadata fields of a clip, also to empty values; other fields stay.

        `generation`: the clip's expected generation; None accepts any. Raises UnknownClipError,
        ChangedError for another generation, and LibraryError for texts that are too long.
        """
        found = self._find(clip_id)
        if found is None:
            raise _unknown(clip_id)
        row, current, before = found
        if generation not in (None, current):
            raise ChangedError(f"id: {clip_id!r} has been changed meanwhile")
        change = MetadataChange(changes).clean()
        _check(change, clip_id)  # the other fields may be older than the limits
        self._write_metadata(row, before, change.apply(before))

    def change_tags(self, clip_id: str, add: Sequence[str], remove: Sequence[str] = ()) -> bool:
        """Add tags to a clip that lacks them, after its own, and remove others. Tags are compared
        by `text_key`. Returns whether that changed anything.

        Raises UnknownClipError, and LibraryError for tags that are too long or too many.
        """
        found = self._find(clip_id)
        if found is None:
            raise _unknown(clip_id)
        row, _, before = found
        change = MetadataChange({}, tuple(add), tuple(remove)).clean()
        _check(change, clip_id)
        after = change.apply(before)
        _check_tag_count(after, before, clip_id)
        return self.write_all([(row, before, after)]) > 0

    def edit_all(
        self, rows: Sequence[int], change: MetadataChange, generations: Mapping[int, int]
    ) -> int:
        """Change the metadata of clips, by their rows. Returns how many differ then.

        `generations`: of clips that must still have theirs. Clips that are gone are passed over.
        Raises ChangedError, and LibraryError for texts that are too long and too many tags.
        """
        change = change.clean()
        _check(change, "these clips")
        changed = 0
        for start in range(0, len(rows), BLOCK):
            block = []
            for row, clip_id, generation, before in self._read(rows[start : start + BLOCK]):
                if generations.get(row, generation) != generation:
                    raise ChangedError(f"etags: {clip_id!r} has been changed meanwhile")
                after = change.apply(before)
                _check_tag_count(after, before, clip_id)
                block.append((row, before, after))
            changed += self.write_all(block)
        return changed

    def undo(self, number: int) -> tuple[int, list[str]]:
        """Give the clips that an edit changed what they had before, where the fields that it
        changed are as it left them.

        Returns how many clips changed, and the ids of those whose fields are others by now. Raises
        UnknownEditError.
        """
        if not has_edit(self._db, number):
            raise UnknownEditError(f"number: no edit {number} in this library")
        changed, conflicts, last = 0, [], 0
        while found := changes_of_edit(self._db, number, last, BLOCK):
            last = found[-1].row
            by_row = {change.row: change for change in found}
            block = []
            for row, clip_id, _, now in self._read(list(by_row)):
                if by_row[row].is_after_in(now):
                    block.append((row, now, by_row[row].undo(now)))
                else:
                    conflicts.append(clip_id)
            changed += self.write_all(block)
        return changed, conflicts

    def _read(self, rows: Sequence[int]) -> Iterator[tuple[int, str, int, Metadata]]:
        """The row, id, generation and metadata of clips."""
        names = ", ".join(METADATA_FIELDS)
        found = self._db.execute(
            f"SELECT row, id, generation, {names} FROM clips "  # noqa: S608 (constant names)
            "WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        ).fetchall()
        return ((*found_row[:3], Metadata.from_row(found_row[3:])) for found_row in found)

    def _find(self, clip_id: str) -> tuple[int, int, Metadata] | None:
        """The row, generation and metadata of the clip with an id, composed or not."""
        names = ", ".join(METADATA_FIELDS)
        found = self._db.execute(
            f"SELECT row, generation, {names} FROM clips WHERE id = ?",  # noqa: S608 (constant names)
            (normalize("NFC", clip_id),),
        ).fetchone()
        return (found[0], found[1], Metadata.from_row(found[2:])) if found else None

    def _write_metadata(self, row: int, before: Metadata, after: Metadata) -> None:
        self.write_all([(row, before, after)])

    def write_all(self, changes: Iterable[tuple[int, Metadata, Metadata]]) -> int:
        """Write and record the metadata of clips where it differs: the row, the metadata before
        and after. Returns how many differ."""
        different = [change for change in changes if change[1] != change[2]]
        if not different:
            return 0
        same = {"changed_at": _now(), "generation": self.generation}
        names = ", ".join(f"{name} = :{name}" for name in (*METADATA_FIELDS, *same))
        self._db.executemany(
            f"UPDATE clips SET {names}, {SAME_SOUND} WHERE row = :row",  # noqa: S608 (constant names)
            ({**after.to_row(), **same, "row": row} for row, _, after in different),
        )
        self._recorder.record_all(different)
        return len(different)

    def _replace_windows(self, row: int, new: NewClip) -> None:
        """Store the window vectors of a long clip, in place of older ones."""
        self._db.execute("DELETE FROM windows WHERE row = ?", (row,))
        if len(new.windows):
            self._db.execute(
                "INSERT INTO windows VALUES (?, ?, ?)",
                (row, new.starts.tobytes(), new.windows.astype(np.float32).tobytes()),
            )

    def move(self, move: Move) -> bool:
        """Change a clip's path, and its title and category with it, if they were made of the
        file's name.

        False, and nothing is changed, where it has another path meanwhile or another clip has the
        new one.
        """
        changed = self._db.execute(
            "UPDATE OR IGNORE clips SET path = ? WHERE id = ? AND path = ?",
            (move.after, move.clip_id, move.before),
        )
        if not changed.rowcount:
            return False
        after, found = metadata_from_path(move.after), self._find_path(move.after)
        if found and _is_from_name(found[2].title, move.before) and found[2].title != after.title:
            self._write_metadata(found[0], found[2], replace(found[2], title=after.title))
        categories = [
            category_from_file_name(PurePath(path).name) for path in (move.before, move.after)
        ]
        if found and categories[0] != categories[1]:
            self._db.execute(
                f"UPDATE clips SET category = ?, generation = ?, {SAME_SOUND} "  # noqa: S608
                "WHERE row = ? AND category = ?",
                (categories[1], self.generation, found[0], categories[0]),
            )
        return True

    def set_file_state(self, clip_id: str, path: str, size: int, mtime_ns: int) -> None:
        """Set the size and time of a clip's file, whose sound is the same."""
        self._db.execute(
            "UPDATE clips SET size = ?, mtime_ns = ? WHERE id = ? AND path = ?",
            (size, mtime_ns, clip_id, path),
        )

    def set_loudness(self, sound: HeldSound, loudness: float) -> None:
        """Set a clip's loudness, in LUFS, where it still has this sound."""
        self._db.execute(
            f"UPDATE clips SET loudness = ?, generation = ?, {SAME_SOUND} "  # noqa: S608 (constant)
            "WHERE id = ? AND sha256 = ?",
            (loudness, self.generation, sound.clip_id, sound.sha256),
        )

    def relocate(self, old: str, new: str) -> int:
        """Move the paths under the folder `old` to the folder `new`. Returns the clips changed.

        Raises LibraryError if another clip already has one of the new paths.
        """
        prefix = old.rstrip("/") + "/"
        values = {"prefix": prefix, "new": new.rstrip("/") + "/", "length": len(prefix)}
        assignment = "path = :new || substr(path, :length + 1)"
        condition = "substr(path, 1, :length) = :prefix"
        try:
            changed = self._db.execute(
                f"UPDATE clips SET {assignment} WHERE {condition}",  # noqa: S608 (constants)
                values,
            )
        except sqlite3.IntegrityError as error:
            raise LibraryError(f"new: sounds of the library lie under {new} already") from error
        self._db.execute(
            f"UPDATE OR REPLACE failures SET {assignment} WHERE {condition}",  # noqa: S608 (constants)
            values,
        )
        return changed.rowcount

    def set_store(self, store: str) -> None:
        """Set the vector store of this catalogue; see `index.stores.factory`."""
        self._db.execute("UPDATE meta SET value = ? WHERE key = 'store'", (store,))

    def remove(self, clip_id: str) -> None:
        """Remove a clip; its file stays. Raises UnknownClipError."""
        found = self._db.execute(
            "SELECT row FROM clips WHERE id = ?", (normalize("NFC", clip_id),)
        ).fetchone()
        if found is None:
            raise _unknown(clip_id)
        self._remove(found[0])

    def remove_at(self, clip_id: str, path: str) -> bool:
        """Remove a clip if it has this path; whether it had."""
        found = self._db.execute(
            "SELECT row FROM clips WHERE id = ? AND path = ?", (clip_id, path)
        ).fetchone()
        if found:
            self._remove(found[0])
        return found is not None

    def _remove(self, row: int) -> None:
        self._db.execute("DELETE FROM clips WHERE row = ?", (row,))
        self._db.execute("INSERT INTO removed VALUES (?, ?)", (row, self.generation))

    def record_failure(self, path: str, reason: str) -> None:
        """Record why a file could not be added."""
        self._db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (path, reason, _now()))

    def forget_failure(self, path: str) -> None:
        """Delete the record of a failure."""
        self._db.execute("DELETE FROM failures WHERE path = ?", (path,))


def free_id(db: sqlite3.Connection, base: str) -> str:
    """The preferred id, with a number after it where another clip has it."""
    number = 1
    while True:
        clip_id = base if number == 1 else f"{base}-{number}"
        if not db.execute("SELECT 1 FROM clips WHERE id = ?", (clip_id,)).fetchone():
            return clip_id
        number += 1


def _check(texts: Metadata | MetadataChange, subject: str, clip_id: str = "") -> None:
    problem = texts.problem() or id_problem(clip_id)
    if problem:
        raise LibraryError(f"{problem} (for {subject})")


def _check_tag_count(after: Metadata, before: Metadata, subject: str) -> None:
    """Tags that are added may be too many with those that a clip has."""
    if len(after.tags) > max(MAX_TAGS, len(before.tags)):
        _check(Metadata(tags=after.tags), subject)


def _merged(metadata: Metadata, held: Metadata | None, new: NewClip) -> Metadata:
    """The clip's metadata; `held`: what an earlier write of the same path left."""
    if held is not None:
        title = "" if _is_from_name(held.title, new.path) else held.title
        metadata = metadata.with_defaults(replace(held, title=title))
    in_file = new.metadata_in_file
    return metadata.with_defaults(in_file).with_defaults(metadata_from_path(new.path))


def _unknown(clip_id: str) -> UnknownClipError:
    return UnknownClipError(f"id: no clip {clip_id!r} in this library")


def _is_from_name(title: str, path: str) -> bool:
    """Whether a title was made of a file's name, also as earlier versions did."""
    whole = title_from_file_name(PurePath(path).name) or UNTITLED
    return title in (metadata_from_path(path).title, whole)
