"""One SQLite file, used by any number of threads: connections, transactions, errors in words.

Write-ahead log, synchronous: readers never wait, and what was committed is on disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earmark.index.errors import StorageError

BUSY_SECONDS = 30.0


class Database:
    """An open database. Each call borrows an idle connection."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close all connections; those in use, when they are given back."""
        self._closed = True
        self.rest()

    def rest(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection, each statement for itself. Raises StorageError."""
        with self._errors(), self._borrowed() as db:
            yield db

    @contextmanager
    def instant(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: everything read in it is of one instant. Raises StorageError."""
        with self.reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed whole, on disk, or not at all. Raises StorageError."""
        with self._errors(), self._writing, self._borrowed() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                # A full disk can end the transaction by itself.
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a statement that reads. Raises StorageError."""
        with self.reading() as db:
            return db.execute(statement, values).fetchall()

    def back_up(self, file: Path) -> None:
        """Copy all of one instant to a new file, while others read and write."""
        with self.reading() as db:
            copy = sqlite3.connect(file)
            try:
                db.backup(copy)
            finally:
                copy.close()

    @contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """An idle connection, or a new one: there are as many as calls at one time."""
        try:
            db = self._idle.pop()
        except IndexError:
            db = self._connect()
        try:
            yield db
        finally:
            if self._closed:
                db.close()
            else:
                self._idle.append(db)

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _write_ahead(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error:
            db.close()
            raise
        return db

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's own errors as StorageError, in words."""
        folder = self.file.parent
        try:
            yield
        except sqlite3.OperationalError as error:
            advice = {
                "database or disk is full": "the disk is full; what was added before is kept",
                "attempt to write a readonly database": "it may only be read",
                "database is locked": f"another process has been writing for {BUSY_SECONDS:g} s",
            }.get(str(error), str(error))
            raise StorageError(f"library {folder}: {advice}") from error
        except sqlite3.DatabaseError as error:
            raise StorageError(f"library {folder}: the catalogue is damaged ({error})") from error


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. SQLite does not wait by itself where others do so too."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if str(error) != "database is locked" or time.monotonic() > until:
                raise
            time.sleep(0.01)
