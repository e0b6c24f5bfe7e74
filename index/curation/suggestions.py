"""Suggested tags of all sounds of a library, computed from the vectors that it keeps.

Of each sound the most telling tags are kept that are likely enough (`thresholds.lowest`), as an
upload of it alone gets them (`model.tagging`), but for tags that the clip has and those on which
there is a verdict or feedback. Nothing is decoded. The tables are filled clip by clip in batches,
each in a short transaction that leaves the library's generation as it is: the index does not
change. So the work can stop and go on anywhere, and what changes later is computed alone. One
process at a time does it; another one takes over from one that died.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.curation.thresholds import lowest, relearn
from earmark.index.errors import LibraryError
from earmark.index.library import Library
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder
from earmark.model.tagging import most_telling
from earmark.model.text.text_key import text_key

MAX_TAGS = 20  # kept of a sound
BATCH = 1_000  # clips in one transaction
FEW_CHANGED = 20_000  # clips: each batch of more of them is sought where the last one ended
TAKEN_SECONDS = 30.0  # after which the work of a process that died is taken over

State = Literal["never", "working", "stopped", "ready"]


@dataclass(frozen=True)
class Progress:
    """How far suggestions are computed. `working`: some clips wait for theirs or are at work;
    `done` of `total` clips, of those that were new or changed when the work last began."""

    state: State
    done: int
    total: int


@dataclass(frozen=True)
class _Run:
    """Where the work stands: see the table `suggesting`."""

    model: str
    asked: int
    generation: int
    target: int
    row: int
    done: int
    total: int
    worker: str
    until: float


@dataclass(frozen=True)
class _Batch:
    """The n clips of a batch: rows, keys of their tags, and what is suggested: indices of tags
    [n, k], probabilities [n, k] and which of them are likely enough [n, k]."""

    rows: list[int]
    own: list[set[str]]
    tags: np.ndarray[Any, np.dtype[np.int64]]
    probabilities: Array
    likely: np.ndarray[Any, np.dtype[np.bool_]]


_FIELDS = "model, asked, generation, target, row, done, total, worker, until"


def model_key(embedder: Embedder) -> str:
    """What suggestions depend on: the model's fingerprint, its vocabulary and calibration."""
    calibration = embedder.calibration
    figures = {name: np.asarray(value).tolist() for name, value in sorted(vars(calibration).items())
               if value is not None}  # fmt: skip
    text = json.dumps([list(embedder.vocabulary), figures])
    return f"{embedder.fingerprint}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def ask(library: Library) -> Progress:
    """Let suggestions be computed, from now on also for what changes. Raises StorageError."""
    with library.catalogue.database.transaction() as db:
        db.execute(
            f"INSERT OR IGNORE INTO suggesting (one, {_FIELDS}) "  # noqa: S608 (constant names)
            "VALUES (1, '', 1, 0, 0, 0, 0, 0, '', 0)"
        )
        db.execute("UPDATE suggesting SET asked = 1")
    return progress(library.catalogue)


def stop(library: Library) -> Progress:
    """Stop computing, also for what changes; what there is stays. Raises StorageError."""
    with library.catalogue.database.transaction() as db:
        db.execute("UPDATE suggesting SET asked = 0")
    return progress(library.catalogue)


def progress(catalogue: Catalogue) -> Progress:
    """How far suggestions are computed."""
    with catalogue.database.read_transaction() as db:
        run, generation = _run(db), _generation(db)
    if run is None:
        return Progress("never", 0, 0)
    behind = run.generation < generation or run.target > run.generation
    state: State = "ready" if not behind else "working" if run.asked else "stopped"
    return Progress(state, run.done, run.total)


class Suggesting:
    """Computes suggestions of a library. `is_over`: asked between batches; whether to stop."""

    def __init__(self, library: Library, is_over: Callable[[], bool] = lambda: False) -> None:
        self._catalogue, self._embedder = library.catalogue, library.embedder
        self._is_over = is_over
        self._worker = secrets.token_hex(8)
        self._model = model_key(library.embedder)
        self._keys = [text_key(tag) for tag in library.embedder.vocabulary]
        self._floors = lowest(library.embedder.calibration.thresholds.astype(np.float64))
        known: set[str] = set()
        for number, key in enumerate(self._keys):
            if key in known:  # the first tag with a key stands for all of them
                self._floors[number] = np.inf
            known.add(key)

    def is_due(self) -> bool:
        """Whether there is work that has been asked for and no other process does."""
        with self._catalogue.database.read_transaction() as db:
            run, generation = _run(db), _generation(db)
        if run is None or not run.asked or self._is_others(run):
            return False
        return run.model != self._model or run.generation < max(generation, run.target)

    def run(self, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        """Compute what has been asked for until all is there, or it is stopped.

        Raises LibraryError where another process does it, StorageError.
        """
        run = self._begin()
        try:
            while run.asked and run.target > run.generation and not self._is_over():
                run = self._step(run)
                on_progress(Progress("working", run.done, run.total))
        finally:
            self._release()

    def _is_others(self, run: _Run) -> bool:
        return run.worker not in ("", self._worker) and run.until > time.time()

    def _begin(self) -> _Run:
        """Take the work over, and begin anew where another model has done it."""
        with self._catalogue.database.transaction() as db:
            run, generation = _run(db), _generation(db)
            assert run is not None, "it has been asked for"
            if self._is_others(run):
                raise LibraryError("library: another process is computing its suggestions")
            if run.model != self._model:
                _forget(db)
                _set_vocabulary(db, self._embedder, self._keys)
                run = _Run(self._model, run.asked, 0, 0, 0, 0, 0, "", 0.0)
            if run.target <= run.generation < generation:
                [total] = db.execute(
                    "SELECT count(*) FROM clips WHERE generation > ?", (run.generation,)
                ).fetchone()
                run = _Run(self._model, run.asked, run.generation, generation, 0, 0, total, "", 0.0)
            return self._save(db, run)

    def _step(self, run: _Run) -> _Run:
        """Compute the next batch; the run after it. Raises LibraryError."""
        clips = self._catalogue.database.query(
            "SELECT row, tags, vector FROM clips WHERE row IN (SELECT row FROM clips "  # noqa: S608 (constant names)
            f"{_index(run)} WHERE generation > ? AND generation <= ? AND row > ? "
            "ORDER BY row LIMIT ?) ORDER BY row",
            (run.generation, run.target, run.row, BATCH),
        )
        batch = self._compute(clips) if clips else None
        with self._catalogue.database.transaction() as db:
            now = _run(db)
            if now is None or now.worker != self._worker or now.target != run.target:
                raise LibraryError("library: another process is computing its suggestions")
            if batch is None:  # all of them
                done = _Run(run.model, now.asked, run.target, run.target, 0, run.total, run.total,
                            self._worker, 0.0)  # fmt: skip
                return self._save(db, done)
            self._write(db, batch, run.target)
            next_run = _Run(run.model, now.asked, run.generation, run.target, batch.rows[-1],
                            run.done + len(batch.rows), run.total, self._worker, 0.0)  # fmt: skip
            return self._save(db, next_run)

    def _compute(self, clips: Sequence[tuple[int, str, bytes]]) -> _Batch:
        vectors = np.frombuffer(b"".join(vector for _, _, vector in clips), np.float32)
        numbers, probabilities = most_telling(
            self._embedder, vectors.reshape(len(clips), -1), MAX_TAGS
        )
        return _Batch(
            [row for row, _, _ in clips],
            [{text_key(tag) for tag in tags.split()} for _, tags, _ in clips],
            numbers,
            probabilities,
            probabilities >= self._floors[numbers],
        )

    def _write(self, db: sqlite3.Connection, batch: _Batch, target: int) -> None:
        """Replace the suggestions of a batch's clips, but for those changed or removed meanwhile:
        what waits of them goes on waiting until they are computed anew."""
        as_read = {
            row
            for (row,) in db.execute(
                "SELECT row FROM clips WHERE row IN (SELECT value FROM json_each(?)) "
                "AND generation <= ?",
                (json.dumps(batch.rows), target),
            )
        }
        db.execute(
            "DELETE FROM suggestions WHERE row IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(as_read)),),
        )
        judged = judged_keys(db, batch.rows)
        keys = self._keys
        rows: list[tuple[int, int, float]] = []
        for row, own, numbers, probabilities, likely in zip(
            batch.rows,
            batch.own,
            batch.tags.tolist(),
            batch.probabilities.tolist(),
            batch.likely.tolist(),
            strict=True,
        ):
            if row not in as_read:
                continue
            over = own | judged.get(row, set())
            rows += [
                (number, row, probability)
                for number, probability, is_likely in zip(
                    numbers, probabilities, likely, strict=True
                )
                if is_likely and keys[number] not in over
            ]
        rows.sort()  # in the order of the table
        db.executemany("INSERT INTO suggestions (tag, row, probability) VALUES (?, ?, ?)", rows)

    def _save(self, db: sqlite3.Connection, run: _Run) -> _Run:
        values: dict[str, object] = vars(run) | {
            "worker": self._worker,
            "until": time.time() + TAKEN_SECONDS,
        }
        names = ", ".join(f"{name} = :{name}" for name in values)
        db.execute(f"UPDATE suggesting SET {names}", values)  # noqa: S608 (constant names)
        return run

    def _release(self) -> None:
        with self._catalogue.database.transaction() as db:
            db.execute(
                "UPDATE suggesting SET worker = '', until = 0 WHERE worker = ?", (self._worker,)
            )


def judged_keys(db: sqlite3.Connection, rows: Sequence[int]) -> Mapping[int, set[str]]:
    """Of clips by row, the keys of the tags on which there is a verdict or feedback."""
    listed = (json.dumps(list(rows)),)
    judged: dict[int, set[str]] = {}
    for row, key in db.execute(
        "SELECT row, key FROM verdicts WHERE latest AND verdict != 'undecided' "
        "AND row IN (SELECT value FROM json_each(?))",
        listed,
    ):
        judged.setdefault(row, set()).add(key)
    for row, accepted, rejected in db.execute(
        "SELECT row, accepted, rejected FROM feedback "
        "WHERE row IN (SELECT value FROM json_each(?))",
        listed,
    ):
        judged.setdefault(row, set()).update(map(text_key, f"{accepted} {rejected}".split()))
    return judged


def _index(run: _Run) -> str:
    """How changed clips are found: few by their generation, many by reading all in their order."""
    return "INDEXED BY clips_by_generation" if run.total <= FEW_CHANGED else "NOT INDEXED"


def _forget(db: sqlite3.Connection) -> None:
    for table in ("suggestions", "suggested_tags", "leases"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 (constant names)


def _set_vocabulary(db: sqlite3.Connection, embedder: Embedder, keys: Sequence[str]) -> None:
    """The tags that may be suggested, with what earlier verdicts say of their thresholds."""
    thresholds = embedder.calibration.thresholds.tolist()
    db.executemany(
        "INSERT OR IGNORE INTO suggested_tags VALUES (?, ?, ?, ?, ?)",
        [
            (number, tag, keys[number], thresholds[number], thresholds[number])
            for number, tag in enumerate(embedder.vocabulary)
        ],
    )
    relearn(db, model_key(embedder), keys)


def _run(db: sqlite3.Connection) -> _Run | None:
    found = db.execute(f"SELECT {_FIELDS} FROM suggesting").fetchone()  # noqa: S608 (constant names)
    return _Run(*found) if found else None


def _generation(db: sqlite3.Connection) -> int:
    [value] = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    return int(value)
