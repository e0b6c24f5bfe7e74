"""The library's single source of truth: a SQLite database of clips, metadata and vectors.

Conventions: vectors are float32 BLOBs of the model's dimension, times are seconds from the
start of a sound, dates are ISO 8601 in UTC. Every write is one transaction with a new generation,
committed to disk as a whole or not at all. Readers never wait.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue import schema
from earmark.index.catalogue.changed_clips import (
    ADDED_DAY,
    EDITED,
    MANY_EDITED,
    changed_clips,
    count_clips,
    last_generation,
)
from earmark.index.catalogue.connection import Database
from earmark.index.catalogue.metadata import METADATA_FIELDS, Metadata
from earmark.index.catalogue.records import (
    NO_ORIGIN,
    Changes,
    Clip,
    HeldSound,
    KnownFile,
    Origin,
)
from earmark.index.catalogue.writer import Writer
from earmark.index.errors import LibraryError, StorageError, UnknownClipError
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

FILE_NAME = "catalogue.sqlite"
_CLIP_FIELDS = tuple(field.name for field in dataclasses.fields(Clip))
_TAGS = _CLIP_FIELDS.index("tags")


class Catalogue:
    """An open catalogue. Safe to share between threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._database = Database(file)

    @property
    def database(self) -> Database:
        """The database, for other tables in the same file."""
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
                schema.migrate(db, 0)
                rows = {**meta, "generation": "0"}.items()
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        return cls.open(folder)

    @classmethod
    def open_or_create(cls, folder: Path, fingerprint: str, dim: int) -> Catalogue:
        """The catalogue in `folder`, created if there is none, or if its creation was
        interrupted. Raises LibraryError, StorageError."""
        file = folder / FILE_NAME
        if os.path.isfile(file):  # noqa: PTH113 (which raises no OSError)
            with closing(cls(file)) as catalogue, catalogue._database.reading() as db:
                blank = _is_blank(db)
            if not blank:
                return cls.open(folder)
        return cls.create(folder, fingerprint, dim)

    @classmethod
    def open(cls, folder: Path) -> Catalogue:
        """The catalogue in `folder`, migrated to this version.

        Raises LibraryError if there is none, or one of a newer version.
        """
        file = folder / FILE_NAME
        if not os.path.isfile(file):  # noqa: PTH113 (which raises no OSError)
            raise LibraryError(f"library: expected a folder made by `earmark add`, got {folder}")
        catalogue = cls(file)
        try:
            catalogue._check_version()
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def _check_version(self) -> None:
        """Migrate an older catalogue. Raises LibraryError for another file, or a newer version."""
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
                version = writing.execute("PRAGMA user_version").fetchone()[0]
                sentences = schema.migrate(writing, version)
            for sentence in sentences:
                log.warning("library %s: %s", self.file.parent, sentence)

    def close(self) -> None:
        """Close all connections; those in use close when they are returned."""
        self._database.close()

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        self._database.close_idle()

    @contextmanager
    def write(self, origin: Origin = NO_ORIGIN) -> Iterator[Writer]:
        """A write transaction with a new generation. Raises StorageError.

        What it changes of clips' metadata is kept as an edit with this origin.
        """
        with self._database.transaction() as db:
            generation = int(_meta(db, "generation")) + 1
            yield Writer(db, generation, int(_meta(db, "dim")), origin)
            db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (str(generation),))

    # Reading

    def meta(self, key: str) -> str:
        """A property of the library: library (its id), fingerprint, dim, generation, store."""
        with self._database.reading() as db:
            return _meta(db, key)

    def count(self) -> int:
        """The number of clips."""
        return int(self._database.query("SELECT count(*) FROM clips")[0][0])

    def totals(self) -> dict[str, float]:
        """Seconds of sound, clips with window vectors, clips that duplicate another one."""
        seconds = self._database.query("SELECT coalesce(sum(duration), 0.0) FROM clips")[0][0]
        windowed = self._database.query("SELECT count(*) FROM windows")[0][0]
        distinct = self._database.query("SELECT count(DISTINCT sha256) FROM clips")[0][0]
        return {
            "seconds": float(seconds),
            "clips_with_windows": int(windowed),
            "duplicates": self.count() - int(distinct),
        }

    def clip(self, clip_id: str) -> Clip:
        """The clip with an id, composed or not. Raises UnknownClipError."""
        found = self._clips("id = ?", (normalize("NFC", clip_id),))
        if not found:
            raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
        return found[0]

    def clips_by_row(self, rows: Sequence[int]) -> dict[int, Clip]:
        """Clips by their rows; removed ones are absent."""
        condition = "row IN (SELECT value FROM json_each(?))"
        return {clip.row: clip for clip in self._clips(condition, (json.dumps(list(rows)),))}

    def clips_by_id(self, ids: Sequence[str]) -> dict[str, Clip]:
        """Clips by their ids, composed or not; unknown ones are absent."""
        kept = {clip_id: normalize("NFC", clip_id) for clip_id in ids}
        condition = "id IN (SELECT value FROM json_each(?))"
        found = self._clips(condition, (json.dumps(list(kept.values())),))
        clips = {clip.id: clip for clip in found}
        return {asked: clips[clip_id] for asked, clip_id in kept.items() if clip_id in clips}

    def clips(self) -> list[Clip]:
        """All clips, in the order they were added."""
        return self._clips("true ORDER BY row", ())

    def rows_where(self, condition: str, values: Sequence[object]) -> Rows:
        """The rows of the clips that an SQL condition holds for, ascending."""
        found = self._database.query(
            f"SELECT row FROM clips WHERE {condition} ORDER BY row",  # noqa: S608 (constants)
            values,
        )
        return np.array([row for (row,) in found], dtype=np.int64)

    def _clips(self, condition: str, values: Sequence[object]) -> list[Clip]:
        statement = f"SELECT {', '.join(_CLIP_FIELDS)} FROM clips WHERE {condition}"  # noqa: S608 (constants)
        return [
            Clip(**{**dict(zip(_CLIP_FIELDS, row, strict=True)), "tags": tuple(row[_TAGS].split())})
            for row in self._database.query(statement, values)
        ]

    def duplicates(self, clip_ids: Sequence[str]) -> dict[str, str]:
        """Of these clips, those that hold the same sound as an earlier clip → that one's id."""
        rows = self._database.query(
            "SELECT clip.id, first.id FROM clips clip JOIN clips first ON first.row = "
            "(SELECT min(row) FROM clips WHERE sha256 = clip.sha256) "
            "WHERE clip.id IN (SELECT value FROM json_each(?)) AND first.row < clip.row "
            "ORDER BY clip.row",
            (json.dumps(list(clip_ids)),),
        )
        return dict(rows)

    def known_files(self, paths: Sequence[str]) -> dict[str, KnownFile]:
        """Of these files, those that are in the library, by path."""
        rows = self._database.query(
            f"SELECT path, size, mtime_ns, {', '.join(METADATA_FIELDS)} FROM clips "  # noqa: S608 (constant names)
            "WHERE path IN (SELECT value FROM json_each(?))",
            (json.dumps(paths),),
        )
        return {
            path: KnownFile(size, mtime, Metadata.from_row(texts))
            for path, size, mtime, *texts in rows
        }

    def ids_by_path(self, paths: Sequence[str]) -> dict[str, str]:
        """Path → id of the clips among these files."""
        return {path: clip.clip_id for path, clip in self.sounds_at(paths).items()}

    def sounds_at(self, paths: Sequence[str]) -> dict[str, HeldSound]:
        """The sounds of the clips among these files, by path."""
        rows = self._database.query(
            "SELECT id, path, sha256, size, mtime_ns FROM clips "
            "WHERE path IN (SELECT value FROM json_each(?))",
            (json.dumps(paths),),
        )
        return {row[1]: HeldSound(*row) for row in rows}

    def clips_with_sounds(self, sums: Sequence[str]) -> list[HeldSound]:
        """The sounds of clips with one of these SHA-256, the oldest first."""
        rows = self._database.query(
            "SELECT id, path, sha256, size, mtime_ns FROM clips "
            "WHERE sha256 IN (SELECT value FROM json_each(?)) ORDER BY row",
            (json.dumps(sums),),
        )
        return [HeldSound(*row) for row in rows]

    def unmeasured_sounds(self) -> list[HeldSound]:
        """The sounds of clips without a loudness, in the order they were added."""
        rows = self._database.query(
            "SELECT id, path, sha256, size, mtime_ns FROM clips WHERE loudness IS NULL ORDER BY row"
        )
        return [HeldSound(*row) for row in rows]

    def iter_paths(self, batch_size: int) -> Iterator[list[tuple[str, str, str]]]:
        """(id, title, path) of all clips, in batches, in the order they were added."""
        last = 0
        while rows := self._database.query(
            "SELECT row, id, title, path FROM clips WHERE row > ? ORDER BY row LIMIT ?",
            (last, batch_size),
        ):
            last = rows[-1][0]
            yield [tuple(row[1:]) for row in rows]

    def has_path_ending(self, name: str) -> bool:
        """Whether a clip's path ends in `/name`, in whichever folder: libraries move."""
        statement = "SELECT 1 FROM clips WHERE substr(path, -length(:name)) = :name LIMIT 1"
        with self._database.reading() as db:
            return db.execute(statement, {"name": f"/{name}"}).fetchone() is not None

    def has_feedback_sound(self, path: str) -> bool:
        """Whether there is feedback on a separate sound, by its path in the library."""
        return bool(self._database.query("SELECT 1 FROM feedback WHERE path = ? LIMIT 1", (path,)))

    def failures(self) -> dict[str, str]:
        """The reasons why files could not be added, by path. Adding a file deletes its entry."""
        return dict(self._database.query("SELECT path, reason FROM failures ORDER BY path"))

    def failures_under(self, folders: Sequence[str]) -> list[str]:
        """The paths of failures that are these folders, or lie in them."""
        prefixes = tuple(folder.rstrip("/") + "/" for folder in folders)
        if not prefixes:
            return []
        return [path for path in self.failures() if f"{path}/".startswith(prefixes)]

    def damaged_files(self) -> dict[str, float]:
        """The seconds of files that could not be decoded and are left out, by path."""
        return dict(
            self._database.query("SELECT path, damaged FROM clips WHERE damaged > 0 ORDER BY path")
        )

    def failure_count(self) -> int:
        """The number of files that could not be added."""
        return int(self._database.query("SELECT count(*) FROM failures")[0][0])

    def latest_failures(self, limit: int) -> list[tuple[str, str]]:
        """(path, reason) of the last files that could not be added, newest first."""
        return self._database.query(
            "SELECT path, reason FROM failures ORDER BY at DESC, rowid DESC LIMIT ?", (limit,)
        )

    def facts(self) -> Changes:
        """All clips, read at one instant, without vectors, titles and descriptions."""
        columns: list[list[Any]] = [[] for _ in range(10)]
        with self._database.read_transaction() as db:
            generation = int(_meta(db, "generation"))
            for clip in db.execute(
                "SELECT row, duration, loudness, "  # noqa: S608 (constants)
                f"{ADDED_DAY}, sample_rate, channels, licence, source, category, tags "
                "FROM clips ORDER BY row"
            ):
                for column, value in zip(columns, clip, strict=True):
                    column.append(value)
        rows, durations, loudness, added, rates, channels, licences, sources, categories, tags = (
            columns
        )
        none, empty = np.zeros(0, np.int64), [""] * len(rows)
        return Changes(
            np.array(rows, np.int64),
            np.zeros((0, 0), np.float32),
            none,
            np.array(durations, np.float32),
            np.array(loudness, np.float32),  # None becomes NaN
            np.array(added, np.int32),
            rates,
            channels,
            licences,
            sources,
            categories,
            tags,
            titles=empty,
            descriptions=empty,
            removed=none,
            generation=generation,
        )

    def sample(self, limit: int) -> list[tuple[int, str, str, str, bytes]]:
        """(row, id, title, tags, vector) of at most `limit` clips, evenly sampled, by row.

        The sample is stable: when clips are added or removed, most of it stays.
        """
        # Multiplying by 2654435761 scatters the rows (Knuth's multiplicative hash).
        return self._database.query(
            "SELECT row, id, title, tags, vector FROM clips WHERE row IN "
            "(SELECT row FROM clips ORDER BY (row * 2654435761) & 4294967295 LIMIT ?) ORDER BY row",
            (limit,),
        )

    def last_row(self) -> int:
        """The highest row, 0 in an empty library."""
        return int(self._database.query("SELECT coalesce(max(row), 0) FROM clips")[0][0])

    def vector(self, row: int) -> Array | None:
        """A clip's vector [D]; None if the clip was removed."""
        return self.vectors([row]).get(row)

    def vector_count(self) -> int:
        """The vectors of all clips and their windows."""
        [(clips, windows)] = self._database.query(
            "SELECT (SELECT count(*) FROM clips), "
            "(SELECT coalesce(sum(length(starts)) / 8, 0) FROM windows)"
        )
        return int(clips + windows)

    def vectors(self, rows: Sequence[int]) -> dict[int, Array]:
        """Clips' vectors [D] by their rows; removed clips are absent."""
        found = self._database.query(
            "SELECT row, vector FROM clips WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        )
        return {row: np.frombuffer(vector, dtype=np.float32) for row, vector in found}

    def windows(self, rows: Sequence[int]) -> dict[int, tuple[npt.NDArray[np.float64], Array]]:
        """The starts [W] of clips' windows in seconds, and their vectors [W, D], by row.

        Clips of one window, and removed ones, are absent.
        """
        found = self._database.query(
            "SELECT row, starts, vectors FROM windows "
            "WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(list(rows)),),
        )
        windows = {}
        for row, starts_bytes, vectors in found:
            starts = np.frombuffer(starts_bytes, dtype=np.float64)
            windows[row] = starts, np.frombuffer(vectors, np.float32).reshape(len(starts), -1)
        return windows

    def window_starts(self, row: int) -> npt.NDArray[np.float64]:
        """The starts [W] of a clip's windows in seconds; empty for a clip of one window."""
        found = self._database.query("SELECT starts FROM windows WHERE row = ?", (row,))
        return np.frombuffer(found[0][0] if found else b"", dtype=np.float64)

    def back_up(self, file: Path) -> None:
        """Copy the catalogue as of one instant to a new file, while others read and write."""
        self._database.back_up(file)

    def changes(
        self, since: int, limit: int | None = None, *, edits_apart: bool = False
    ) -> Changes:
        """All writes after generation `since`, read at one instant.

        With a `limit`, only the first generations, which together change about as many vectors:
        call again for the rest. `edits_apart`: where many clips have got other metadata, but no
        other sound, they are told apart, without vectors.
        """
        with self._database.read_transaction() as db:
            generation, dim = int(_meta(db, "generation")), int(_meta(db, "dim"))
            if limit is not None:
                generation = last_generation(db, since, limit, generation)
            span = (since, generation)
            edited, those = None, "true"
            if edits_apart and count_clips(db, *span, EDITED) > MANY_EDITED:
                edited = changed_clips(db, span, 0, EDITED)
                those = f"NOT coalesce({EDITED}, false)"
            changed = changed_clips(db, span, dim, those)
            removed = db.execute(
                "SELECT row FROM removed WHERE generation > ? AND generation <= ?", span
            ).fetchall()
        removed_rows = np.array([row for (row,) in removed], dtype=np.int64)
        return replace(changed, removed=removed_rows, edited=edited)

    def has_large_edit(self, since: int) -> bool:
        """Whether one write after generation `since` changed the metadata of many clips."""
        with self._database.read_transaction() as db:
            generations = db.execute(
                "SELECT generation FROM clips WHERE generation > ? "
                "GROUP BY generation HAVING count(*) > ?",
                (since, MANY_EDITED),
            ).fetchall()
            return any(
                count_clips(db, since, generation, f"generation = {int(generation)} AND {EDITED}")
                > MANY_EDITED
                for (generation,) in generations
            )


def _meta(db: sqlite3.Connection, key: str) -> str:
    return str(db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0])


def _is_blank(db: sqlite3.Connection) -> bool:
    """Whether the file has no tables: it is new, or its creation was interrupted."""
    return not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
