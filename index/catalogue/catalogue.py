"""The library's one truth: a SQLite database of clips, tags, vectors and what was removed.

Conventions: vectors are float32 BLOBs of the model's dimension, times are seconds from the
start of a sound, dates are ISO 8601 in UTC. Every write is one transaction of one generation:
committed whole, on disk (write-ahead log, synchronous), or not at all. Readers never wait.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue import schema
from earmark.index.catalogue.connection import Database
from earmark.index.catalogue.records import SAID, Changes, Clip, Known, Said
from earmark.index.catalogue.writer import Writer
from earmark.index.errors import LibraryError, StorageError, UnknownClipError
from earmark.model.core.arrays import Array

FILE_NAME = "catalogue.sqlite"
_NAMES = tuple(field.name for field in dataclasses.fields(Clip))
_TAGS = _NAMES.index("tags")
_COLUMNS = ", ".join(_NAMES)


class _Texts(NamedTuple):
    """Columns of what is said of clips, in the order of Changes."""

    licences: list[str]
    sources: list[str]
    tags: list[str]
    titles: list[str]
    descriptions: list[str]


class Catalogue:
    """An open catalogue. Safe to share between threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database = Database(file)

    @property
    def database(self) -> Database:
        """For what has tables of its own in the same file."""
        return self._database

    @classmethod
    def create(cls, folder: Path, fingerprint: str, dim: int) -> Catalogue:
        """A new, empty catalogue in `folder`. Raises StorageError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"library {folder}: {error.strerror}") from error
        meta = {"library": uuid.uuid4().hex, "fingerprint": fingerprint, "dim": str(dim)}
        file = folder / FILE_NAME
        with closing(cls(file)) as catalogue, catalogue._database.transaction() as db:
            if _is_blank(db):
                db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
                _migrate(db, 0)
                rows = {**meta, "generation": "0"}.items()
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        return cls.open(folder)

    @classmethod
    def open_or_create(cls, folder: Path, fingerprint: str, dim: int) -> Catalogue:
        """The catalogue in `folder`; a new one where there is none, or one whose making was
        cut short. Raises LibraryError, StorageError."""
        file = folder / FILE_NAME
        if file.is_file():
            with closing(cls(file)) as catalogue, catalogue._database.reading() as db:
                blank = _is_blank(db)
            if not blank:
                return cls.open(folder)
        return cls.create(folder, fingerprint, dim)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """The catalogue in `folder`. Raises LibraryError where there is none of this version."""
        file = folder / FILE_NAME
        if not file.is_file():
            raise LibraryError(f"library: expected a folder made by `earmark add`, got {folder}")
        catalogue = cls(file)
        try:
            catalogue._check_version()
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def _check_version(self) -> None:
        """Bring an older catalogue up to date. Raises LibraryError for what is none, or newer."""
        with self._database.reading() as db:
            application = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
        if application != schema.APPLICATION_ID or version > schema.VERSION:
            raise LibraryError(
                f"library {self.file.parent}: expected a catalogue of version {schema.VERSION} or "
                f"older, got version {version} of application {application:#x}"
            )
        if version < schema.VERSION:
            with self._database.transaction() as writing:
                _migrate(writing, writing.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close all connections; those in use, when they are given back."""
        self._database.close()

    def rest(self) -> None:
        """Close the connections that are not in use."""
        self._database.rest()

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """One transaction of one new generation. Raises StorageError."""
        with self._database.transaction() as db:
            generation = int(_meta(db, "generation")) + 1
            yield Writer(db, generation, int(_meta(db, "dim")))
            db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),))

    # Reading

    def meta(self, key: str) -> str:
        """A value about the whole library: library, fingerprint, dim, generation, store."""
        with self._database.reading() as db:
            return _meta(db, key)

    def count(self) -> int:
        """Clips in the library."""
        return int(self._database.query("SELECT count(*) FROM clips")[0][0])

    def totals(self) -> dict[str, float]:
        """Seconds of sound, clips with window vectors, clips whose sound another has too."""
        seconds = self._database.query("SELECT coalesce(sum(duration), 0.0) FROM clips")[0][0]
        long = self._database.query("SELECT count(*) FROM windows")[0][0]
        different = self._database.query("SELECT count(DISTINCT sha256) FROM clips")[0][0]
        return {
            "seconds": float(seconds),
            "clips_with_windows": int(long),
            "duplicates": self.count() - int(different),
        }

    def clip(self, clip_id: str) -> Clip:
        """The clip of that id. Raises UnknownClipError."""
        found = self._clips("id = ?", (clip_id,))
        if not found:
            raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
        return found[0]

    def clips_by_row(self, rows: Sequence[int]) -> dict[int, Clip]:
        """Clips by their numbers; those gone meanwhile are absent."""
        only = "row IN (SELECT value FROM json_each(?))"
        return {clip.row: clip for clip in self._clips(only, (json.dumps(list(rows)),))}

    def clips(self) -> list[Clip]:
        """All clips, in the order they were added."""
        return self._clips("true ORDER BY row", ())

    def clips_from(self, where: str, value: int | str, most: int) -> list[Clip]:
        """At most so many clips, by a condition on one value and an order."""
        return self._clips(f"{where} LIMIT {int(most)}", (value,))

    def numbers_after(self, clip_id: str, most: int) -> list[tuple[int, str]]:
        """(number, id) of clips in the order of their ids, after one of them."""
        return self._database.query(
            "SELECT row, id FROM clips WHERE id > ? ORDER BY id LIMIT ?", (clip_id, most)
        )

    def _clips(self, where: str, values: Sequence[object]) -> list[Clip]:
        statement = f"SELECT {_COLUMNS} FROM clips WHERE {where}"  # noqa: S608 (own text)
        return [
            Clip(**{**dict(zip(_NAMES, row, strict=True)), "tags": tuple(row[_TAGS].split())})
            for row in self._database.query(statement, values)
        ]

    def twins(self, clip_ids: Sequence[str]) -> dict[str, str]:
        """Of these clips, those whose very sound an earlier clip has: its id by theirs."""
        rows = self._database.query(
            "SELECT own.id, first.id FROM clips own JOIN clips first ON first.row = "
            "(SELECT min(row) FROM clips WHERE sha256 = own.sha256) "
            "WHERE own.id IN (SELECT value FROM json_each(?)) AND first.row < own.row "
            "ORDER BY own.row",
            (json.dumps(list(clip_ids)),),
        )
        return dict(rows)

    def known_files(self, paths: Sequence[str]) -> dict[str, Known]:
        """Those of these files that are in the library, by path."""
        rows = self._database.query(
            f"SELECT path, size, mtime_ns, {', '.join(SAID)} FROM clips "  # noqa: S608 (own names)
            "WHERE path IN (SELECT value FROM json_each(?))",
            (json.dumps(paths),),
        )
        return {path: Known(size, mtime, Said.of(said)) for path, size, mtime, *said in rows}

    def has_file(self, ending: str) -> bool:
        """Whether a clip's path ends in a slash and this: its folders may have moved."""
        statement = "SELECT 1 FROM clips WHERE substr(path, -length(:own)) = :own LIMIT 1"
        with self._database.reading() as db:
            return db.execute(statement, {"own": f"/{ending}"}).fetchone() is not None

    def has_feedback_on(self, path: str) -> bool:
        """Whether feedback was given on that sound of its own."""
        return bool(self._database.query("SELECT 1 FROM feedback WHERE path = ? LIMIT 1", (path,)))

    def failures(self) -> dict[str, str]:
        """Why files could not be added, by path; a file added since is not among them."""
        return dict(self._database.query("SELECT path, reason FROM failures ORDER BY path"))

    def failures_count(self) -> int:
        """How many files could not be added."""
        return int(self._database.query("SELECT count(*) FROM failures")[0][0])

    def failures_latest(self, most: int) -> list[tuple[str, str]]:
        """(path, reason) of the last files that could not be added, the latest first."""
        return self._database.query(
            "SELECT path, reason FROM failures ORDER BY at DESC, rowid DESC LIMIT ?", (most,)
        )

    def said_of_all(self, at_once: int) -> Iterator[list[tuple[float, str, str, str]]]:
        """(duration, licence, source, tags) of all clips, so many at a time."""
        last = 0
        while rows := self._database.query(
            "SELECT row, duration, licence, source, tags FROM clips WHERE row > ? "
            "ORDER BY row LIMIT ?",
            (last, at_once),
        ):
            last = rows[-1][0]
            yield [tuple(row[1:]) for row in rows]

    def sample(self, most: int) -> list[tuple[int, str, str, str, bytes]]:
        """(number, id, title, tags, vector) of at most so many clips, even over all of them, by
        number; when others come and go, most of them stay."""
        # 2654435761 gives each number a place of its own in one fixed disorder.
        return self._database.query(
            "SELECT row, id, title, tags, vector FROM clips WHERE row IN "
            "(SELECT row FROM clips ORDER BY (row * 2654435761) & 4294967295 LIMIT ?) ORDER BY row",
            (most,),
        )

    def last_row(self) -> int:
        """The highest clip number, 0 where there is no clip."""
        return int(self._database.query("SELECT coalesce(max(row), 0) FROM clips")[0][0])

    def vector(self, row: int) -> Array | None:
        """A clip's vector [D]; None when the clip has gone."""
        return self.vectors([row]).get(row)

    def vectors(self, rows: Sequence[int]) -> dict[int, Array]:
        """Clips' vectors [D] by their numbers; those gone meanwhile are absent."""
        found = self._database.query(
            "SELECT row, vector FROM clips WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        )
        return {row: np.frombuffer(vector, dtype=np.float32) for row, vector in found}

    def windows(self, row: int) -> tuple[npt.NDArray[np.float64], Array] | None:
        """A long clip's window starts [W] and vectors [W, D]; None for a short one."""
        found = self._database.query("SELECT starts, vectors FROM windows WHERE row = ?", (row,))
        if not found:
            return None
        starts = np.frombuffer(found[0][0], dtype=np.float64)
        return starts, np.frombuffer(found[0][1], dtype=np.float32).reshape(len(starts), -1)

    def back_up(self, file: Path) -> None:
        """Copy the catalogue as of one instant to a new file, while others read and write."""
        self._database.back_up(file)

    def changes(self, since: int, most: int | None = None) -> Changes:
        """Everything written after generation `since`, read at one instant.

        Of more than about `most` clips the first, by whole generations: ask again for the rest.
        """
        with self._database.instant() as db:
            generation, dim = int(_meta(db, "generation")), int(_meta(db, "dim"))
            further = (
                None
                if most is None
                else db.execute(
                    "SELECT generation FROM clips WHERE generation > ? ORDER BY generation "
                    "LIMIT 1 OFFSET ?",
                    (since, most - 1),
                ).fetchone()
            )
            generation = min(generation, further[0]) if further else generation
            between = (since, generation)
            (count,) = db.execute(
                "SELECT count(*) FROM clips WHERE generation > ? AND generation <= ?", between
            ).fetchone()
            rows, durations = np.empty(count, np.int64), np.empty(count, np.float32)
            vectors = np.empty((count, dim), np.float32)
            said = _Texts([], [], [], [], [])
            clips = db.execute(
                "SELECT row, vector, duration, licence, source, tags, title, description "
                "FROM clips WHERE generation > ? AND generation <= ? ORDER BY row",
                between,
            )
            for place, (row, vector, duration, *words) in enumerate(clips):
                rows[place], durations[place] = row, duration
                vectors[place] = np.frombuffer(vector, dtype=np.float32)
                for column, text in zip(said, words, strict=True):
                    column.append(text)
            removed = db.execute(
                "SELECT row FROM removed WHERE generation > ? AND generation <= ?", between
            ).fetchall()
        gone = np.array([row for (row,) in removed], dtype=np.int64)
        return Changes(rows, vectors, durations, *said, gone, generation)


def _meta(db: sqlite3.Connection, key: str) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


def _is_blank(db: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all: new, or its making was cut short."""
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _migrate(db: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version` to the newest, inside the caller's transaction."""
    for steps in schema.MIGRATIONS[version:]:
        for statement in steps:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {schema.VERSION}")
