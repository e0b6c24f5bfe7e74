"""Jobs on disk: their states, results and events, shared by all services on a library.

`jobs.sqlite` in the library's folder holds all but the sounds, which are `JobFiles`. A process that
runs a job holds its lock; a job that is not over and whose lock is free is taken up by the next
process that looks for work.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from earmark.index.catalogue.connection import Database
from earmark.index.errors import StorageError
from earmark.service.http.problems import ProblemError
from earmark.service.workers.job_files import JobFiles

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "cancelled", "failed"]
EventKind = Literal["progress", "heard", "failed", "done"]

FILE = "jobs.sqlite"
VERSION = 1  # of the tables
MAX_STARTS = 5  # of a job, none of which gets a part done: then it is given up
HIDDEN_SECONDS = 60.0  # that a job stays on disk once it is over and hidden: for its last readers
MAX_NUMBER = 2**62  # SQLite's integers end at 2^63

TABLES = (
    # `cancelled`: a client has asked to stop it; `hidden`: clients do not see it any more;
    # `starts`: how often it was begun since a part of it was last done.
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        total INTEGER NOT NULL,
        metadata TEXT NOT NULL,
        cancelled INTEGER NOT NULL DEFAULT 0,
        hidden INTEGER NOT NULL DEFAULT 0,
        starts INTEGER NOT NULL DEFAULT 0,
        problem TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL,
        ended_at TEXT NOT NULL DEFAULT ''
    )
    """,
    # `stem`: of the name of the part's file once it is a clip's; `clip`, `failure`: its result.
    """
    CREATE TABLE parts (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        stem TEXT NOT NULL,
        clip TEXT,
        duplicate_of TEXT,
        failure TEXT,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE events (
        job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (job, number)
    ) WITHOUT ROWID
    """,
)
LIVE = "state IN ('waiting', 'running')"
OVER = "state IN ('done', 'cancelled', 'failed')"


@dataclass(frozen=True)
class JobEvent:
    """Something that happened in a job. Numbers count from 1; the last event is "done"."""

    number: int
    kind: EventKind
    data: dict[str, Any]


@dataclass(frozen=True)
class JobPart:
    """A sound of a job. `number`: from 0; `name`: as the client sent it; `path`: of its file until
    the job is over; `stem`: of the name that the library is to give the file."""

    number: int
    name: str
    path: Path
    stem: str


@dataclass(frozen=True)
class AddedPart:
    """A part that became a clip. `duplicate_of`: an earlier clip with the same sound, or ""."""

    part: JobPart
    clip_id: str
    duplicate_of: str


@dataclass(frozen=True)
class FailedPart:
    """A part that could not be added: its number, its name as the client sent it, and why."""

    part: int
    name: str
    reason: str


@dataclass(frozen=True)
class JobStatus:
    """A job at one instant.

    `added`: ids of clips; `duplicates`: of these, to the earlier clip with the same sound;
    `problem`: why the job failed, or "". Times are ISO 8601 in UTC.
    """

    id: str
    state: State
    total: int
    added: tuple[str, ...]
    duplicates: dict[str, str]
    failed: tuple[FailedPart, ...]
    problem: str
    created_at: str
    ended_at: str


class RunningJob:
    """A job that this process runs, whose lock it holds until `release`.

    `parts`: those to be done; `metadata`: as the job was made with; `resumed`: an earlier run
    ended amid the work, and may have added parts without recording it.
    """

    def __init__(
        self,
        store: JobStore,
        number: int,
        lock: int,
        metadata: dict[str, Any],
        parts: list[JobPart],
        resumed: bool,
    ) -> None:
        self._store, self.number, self._lock = store, number, lock
        self.metadata, self.parts, self.resumed = metadata, parts, resumed
        self.pausing = False  # set by the process when it stops

    @property
    def stopping(self) -> bool:
        """Whether to stop before the next batch. Raises StorageError."""
        return self.pausing or self._store.is_cancelled(self.number)

    def record(self, added: Sequence[AddedPart], failed: Sequence[FailedPart]) -> None:
        """Record results of parts, in one transaction. Raises StorageError."""
        self._store.record(self.number, added, failed)

    def tell(self, part: JobPart, seconds: float) -> None:
        """Tell how much of a long part has been heard. Raises StorageError."""
        self._store.tell(self.number, part, seconds)

    def release(self, problem: str = "") -> None:
        """End the job; or, where it is pausing with parts left, leave it to the next process.

        `problem`: why it failed. Raises StorageError.
        """
        try:
            self._store.release(self.number, problem, may_wait=self.pausing)
        finally:
            os.close(self._lock)


class JobStore:
    """The jobs of the library in `library_folder`. Safe to share between threads.

    `on_change`: called with a job's number after each change that this process makes to it.
    Nothing is made on disk before the first job.
    """

    def __init__(
        self, library_folder: Path, on_change: Callable[[int], None] = lambda _: None
    ) -> None:
        self._files = JobFiles(library_folder)
        self._database = Database(library_folder / FILE, FILE)
        self._on_change = on_change
        self._checked = False

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    # For clients

    def waiting(self) -> int:
        """How many jobs wait. Raises StorageError."""
        if not self._exists():
            return 0
        [(count,)] = self._database.query("SELECT count(*) FROM jobs WHERE state = 'waiting'")
        return int(count)

    def create(
        self,
        sounds: Sequence[tuple[IO[bytes], str]],
        metadata: Mapping[str, Any],
        *,
        max_waiting: int,
        max_over: int,
    ) -> int:
        """Copy sounds (each with its name) to disk and make a job of them; returns its number.

        Of the jobs that are over, the latest `max_over` stay. Raises ProblemError (429) where
        `max_waiting` jobs wait, and StorageError; either leaves nothing behind.
        """
        self._make()
        job_id = secrets.token_urlsafe(16)
        with (
            self._files.stage(job_id, [sound for sound, _ in sounds]),
            self._database.transaction() as db,
        ):
            _check_room(db, max_waiting)
            number = _insert(db, job_id, [name for _, name in sounds], metadata)
            _prune(db, max_over)
        self._on_change(number)
        return number

    def find(self, job_id: str) -> int | None:
        """The number of the job with this id; None for a hidden or unknown one.

        Raises StorageError.
        """
        if not self._exists():
            return None
        statement = "SELECT number FROM jobs WHERE id = ? AND NOT hidden"
        rows = self._database.query(statement, (job_id,))
        return int(rows[0][0]) if rows else None

    def status(self, number: int) -> JobStatus | None:
        """A job at this instant; None where it is not on disk any more. Raises StorageError."""
        with self._database.read_transaction() as db:
            row = db.execute(
                "SELECT id, state, total, problem, created_at, ended_at FROM jobs WHERE number = ?",
                (number,),
            ).fetchone()
            parts = db.execute(
                "SELECT number, name, clip, duplicate_of, failure FROM parts "
                "WHERE job = ? ORDER BY number",
                (number,),
            ).fetchall()
        if row is None:
            return None
        job_id, state, total, problem, created_at, ended_at = row
        return JobStatus(
            job_id,
            state,
            total,
            tuple(clip for _, _, clip, _, _ in parts if clip),
            {clip: earlier for _, _, clip, earlier, _ in parts if clip and earlier},
            tuple(
                FailedPart(part, name, why) for part, name, _, _, why in parts if why is not None
            ),
            problem,
            created_at,
            ended_at,
        )

    def events(self, number: int, after: int) -> tuple[list[JobEvent], bool]:
        """A job's events after event `after`, and whether it is over. Raises StorageError."""
        with self._database.read_transaction() as db:
            live = db.execute(
                f"SELECT 1 FROM jobs WHERE number = ? AND {LIVE}",  # noqa: S608
                (number,),
            ).fetchone()
            rows = db.execute(
                "SELECT number, kind, data FROM events WHERE job = ? AND number > ? "
                "ORDER BY number",
                (number, min(after, MAX_NUMBER)),
            ).fetchall()
        return [JobEvent(event, kind, json.loads(data)) for event, kind, data in rows], not live

    def cancel(self, number: int) -> None:
        """Hide a job and have it stopped: at once where it waits, else before its next batch.

        Raises StorageError.
        """
        with self._database.transaction() as db:
            db.execute("UPDATE jobs SET cancelled = 1, hidden = 1 WHERE number = ?", (number,))
            row = db.execute("SELECT id, state FROM jobs WHERE number = ?", (number,)).fetchone()
            ended = row is not None and row[1] == "waiting"
            if ended:
                _end(db, number, "")
        if ended:
            self._files.discard(row[0])
        self._on_change(number)

    # For the process that runs a job

    def claim(self) -> RunningJob | None:
        """Take up the oldest job that waits, or whose process has ended. Raises StorageError."""
        if not self._exists():
            return None
        rows = self._database.query(
            f"SELECT number, id FROM jobs WHERE {LIVE} ORDER BY number"  # noqa: S608
        )
        for number, job_id in rows:
            lock = self._files.lock(job_id)
            if lock is None:  # another process, or another thread of this one, runs it
                continue
            try:
                job = self._begin(number, lock)
            except BaseException:
                os.close(lock)
                raise
            if job is not None:
                self._on_change(number)
                return job
            os.close(lock)
        return None

    def _begin(self, number: int, lock: int) -> RunningJob | None:
        """A job whose lock this process holds, unless it is over, or is so now."""
        with self._database.transaction() as db:
            row = db.execute(
                "SELECT id, state, metadata, cancelled, starts FROM jobs WHERE number = ?",
                (number,),
            ).fetchone()
            job_id, state, metadata, cancelled, starts = row or ("", "done", "", 0, 0)
            live = state in ("waiting", "running")
            if live and cancelled:
                _end(db, number, "")
            elif live and starts >= MAX_STARTS:
                _end(db, number, f"it was begun {starts} times and none of its parts was done")
            elif live:
                db.execute(
                    "UPDATE jobs SET state = 'running', starts = starts + 1 WHERE number = ?",
                    (number,),
                )
                _append_event(db, number, "progress", {**_counts(db, number), "ids": []})
                return RunningJob(
                    self, number, lock, json.loads(metadata), self._parts(db, number, job_id),
                    state == "running",
                )  # fmt: skip
        if job_id:
            self._files.discard(job_id)
            self._on_change(number)
        return None

    def _parts(self, db: sqlite3.Connection, number: int, job_id: str) -> list[JobPart]:
        """The parts that are to be done."""
        rows = db.execute(
            "SELECT number, name, stem FROM parts "
            "WHERE job = ? AND clip IS NULL AND failure IS NULL ORDER BY number",
            (number,),
        )
        return [
            JobPart(part, name, self._files.path(job_id, part), stem) for part, name, stem in rows
        ]

    def is_cancelled(self, number: int) -> bool:
        """Whether a client has asked to stop a job. Raises StorageError."""
        rows = self._database.query("SELECT cancelled FROM jobs WHERE number = ?", (number,))
        return not rows or bool(rows[0][0])

    def record(self, number: int, added: Sequence[AddedPart], failed: Sequence[FailedPart]) -> None:
        """Record results of parts, in one transaction. Raises StorageError."""
        with self._database.transaction() as db:
            db.executemany(
                "UPDATE parts SET clip = ?, duplicate_of = ? WHERE job = ? AND number = ?",
                [(one.clip_id, one.duplicate_of or None, number, one.part.number) for one in added],
            )
            db.executemany(
                "UPDATE parts SET failure = ? WHERE job = ? AND number = ?",
                [(one.reason, number, one.part) for one in failed],
            )
            db.execute("UPDATE jobs SET starts = 0 WHERE number = ?", (number,))
            for one in failed:
                _append_event(db, number, "failed", vars(one))
            ids = [one.clip_id for one in added]
            _append_event(db, number, "progress", {**_counts(db, number), "ids": ids})
        self._on_change(number)

    def tell(self, number: int, part: JobPart, seconds: float) -> None:
        """Tell how much of a part has been heard. Raises StorageError."""
        data = {"part": part.number, "name": part.name, "seconds": round(seconds, 3)}
        with self._database.transaction() as db:
            _append_event(db, number, "heard", data)
        self._on_change(number)

    def release(self, number: int, problem: str, *, may_wait: bool) -> None:
        """End a job; where it `may_wait` and parts are left to be done, it waits again.

        Raises StorageError.
        """
        with self._database.transaction() as db:
            job_id, cancelled = db.execute(
                "SELECT id, cancelled FROM jobs WHERE number = ?", (number,)
            ).fetchone()
            counts = _counts(db, number)
            waits = may_wait and not (problem or cancelled) and counts["done"] < counts["total"]
            if waits:
                db.execute(
                    "UPDATE jobs SET state = 'waiting', starts = 0 WHERE number = ?", (number,)
                )
            else:
                _end(db, number, problem)
        if not waits:
            self._files.discard(job_id)
        self._on_change(number)

    def sweep(self) -> None:
        """Remove sounds that a process left when it ended amid staging, or before it had removed
        those of a job that was over. Raises StorageError."""
        if self._exists():
            rows = self._database.query(f"SELECT id, {LIVE} FROM jobs")  # noqa: S608
            self._files.sweep(
                {job_id for job_id, live in rows if live},
                {job_id for job_id, live in rows if not live},
            )

    # The file of jobs

    def _exists(self) -> bool:
        """Whether there is a file of jobs that this version reads. Raises StorageError."""
        if not self._database.file.exists():
            return False
        if not self._checked:
            [(version,)] = self._database.query("PRAGMA user_version")
            if version > VERSION:
                raise StorageError(f"{FILE}: a newer version of Earmark has made it")
            self._checked = version == VERSION
        return self._checked

    def _make(self) -> None:
        """Make the file of jobs where there is none. Raises StorageError."""
        if self._exists():
            return
        with self._database.transaction() as db:
            [version] = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in TABLES:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")


def _check_room(db: sqlite3.Connection, max_waiting: int) -> None:
    [waiting] = db.execute("SELECT count(*) FROM jobs WHERE state = 'waiting'").fetchone()
    if waiting >= max_waiting:
        raise too_many(waiting)


def too_many(waiting: int) -> ProblemError:
    """The refusal of a job where so many wait."""
    return ProblemError("busy", f"{waiting} jobs are waiting", {"Retry-After": "10"})


def _insert(
    db: sqlite3.Connection, job_id: str, names: Sequence[str], metadata: Mapping[str, Any]
) -> int:
    db.execute(
        "INSERT INTO jobs (id, state, total, metadata, created_at) VALUES (?, 'waiting', ?, ?, ?)",
        (job_id, len(names), json.dumps(metadata), _now()),
    )
    [number] = db.execute("SELECT last_insert_rowid()").fetchone()
    db.executemany(
        "INSERT INTO parts (job, number, name, stem) VALUES (?, ?, ?, ?)",
        [(number, part, name, secrets.token_hex(16)) for part, name in enumerate(names)],
    )
    return int(number)


def _prune(db: sqlite3.Connection, max_over: int) -> None:
    """Delete jobs that are over: all but the latest, and hidden ones after a while."""
    since = _now(-HIDDEN_SECONDS)
    db.execute(
        f"DELETE FROM jobs WHERE {OVER} AND ((hidden AND ended_at < ?) OR (NOT hidden AND "  # noqa: S608
        f"number NOT IN (SELECT number FROM jobs WHERE {OVER} AND NOT hidden "
        "ORDER BY number DESC LIMIT ?)))",
        (since, max_over),
    )


def _end(db: sqlite3.Connection, number: int, problem: str) -> None:
    counts = _counts(db, number)
    [cancelled] = db.execute("SELECT cancelled FROM jobs WHERE number = ?", (number,)).fetchone()
    stopped = cancelled and counts["done"] < counts["total"]
    state = "failed" if problem else "cancelled" if stopped else "done"
    db.execute(
        "UPDATE jobs SET state = ?, problem = ?, ended_at = ? WHERE number = ?",
        (state, problem, _now(), number),
    )
    _append_event(db, number, "done", {**counts, "state": state, "problem": problem})


def _counts(db: sqlite3.Connection, number: int) -> dict[str, int]:
    total, added, failed = db.execute(
        "SELECT count(*), count(clip), count(failure) FROM parts WHERE job = ?", (number,)
    ).fetchone()
    return {"total": total, "done": added + failed, "added": added, "failed": failed}


def _append_event(
    db: sqlite3.Connection, number: int, kind: EventKind, data: Mapping[str, Any]
) -> None:
    """Append an event with the job's next number."""
    db.execute(
        "INSERT INTO events SELECT ?, coalesce(max(number), 0) + 1, ?, ? FROM events WHERE job = ?",
        (number, kind, json.dumps(data), number),
    )


def _now(seconds: float = 0.0) -> str:
    """The time, or `seconds` later."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return now.isoformat(timespec="seconds")
