"""One SQLite file, shared by any number of threads: connections, transactions, error messages.

It uses a synchronous write-ahead log: readers never wait, and committed data is on disk.
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
MAX_LOG_BYTES = 64_000_000  # on disk, of a log whose content is in the database


class Database:
    """An open database. Each call borrows an idle connection. `name`: in messages."""

    def __init__(self, file: Path, name: str = "the catalogue") -> None:
        self.file, self._name = file, name
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        self._writing = threading.Lock()

    def close(self) -> None:
        """Close all connections; those in use close when they are returned."""
        self._closed = True
        self.close_idle()

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for single statements. Raises StorageError."""
        with self._errors(), self._borrow() as db:
            yield db

    @contextmanager
    def read_transaction(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: all its statements see the same instant. Raises StorageError."""
        with self.reading() as db:
            db.execute("BEGIN")
            try:
                yield db
            finally:
                db.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed to disk as a whole, or not at all. Raises StorageError."""
        with self._errors(), self._writing, self._borrow() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                # A full disk can end the transaction by itself.
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def query(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """All rows of a reading statement. Raises StorageError."""
        with self.reading() as db:
            return db.execute(statement, values).fetchall()

    def back_up(self, file: Path) -> None:
        """Copy the database as of one instant to a new file, while others read and write."""
        with self.reading() as db:
            copy = sqlite3.connect(file)
            try:
                db.backup(copy)
            finally:
                copy.close()

    @contextmanager
    def _borrow(self) -> Iterator[sqlite3.Connection]:
        """An idle connection, or a new one: there are as many as concurrent calls."""
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
            _enable_write_ahead_log(db)
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(f"PRAGMA journal_size_limit = {MAX_LOG_BYTES}")
        except sqlite3.Error:
            db.close()
            raise
        return db

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise SQLite's errors as StorageError, with a message for users."""
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
            raise StorageError(f"library {folder}: {self._name} is damaged ({error})") from error


def _enable_write_ahead_log(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log. SQLite itself does not wait for others who switch too."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if str(error) != "database is locked" or time.monotonic() > until:
                raise
            time.sleep(0.01)
