"""Verdicts on suggested tags: accepted, rejected, or taken back.

An accepted tag is a tag of its clip, kept in the history as review's. A rejected one is not
suggested again, whichever model would. A verdict that is taken back leaves the clip as it was
before: a tag that review had added goes. Every verdict is kept, with who and when; of several on
one tag of a clip the latest counts. Tags are compared by `text_key`.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from earmark.index.catalogue.metadata import printable_tag
from earmark.index.catalogue.records import Origin
from earmark.index.catalogue.writer import Writer
from earmark.index.curation.suggestions import model_key
from earmark.index.curation.thresholds import relearn
from earmark.index.errors import LibraryError
from earmark.index.library import Library
from earmark.model.text.text_key import text_key

MAX_VERDICTS = 500  # in one transaction

Decision = Literal["accept", "reject", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A verdict on a tag of a clip; `undecided` takes an earlier one back."""

    clip: str
    tag: str
    verdict: Decision


@dataclass(frozen=True)
class Judged:
    """What verdicts did: how many of each, how many stood already, and the ids of clips that are
    gone. `edit`: the number of the edit that changed tags, None where none did."""

    accepted: int
    rejected: int
    undecided: int
    unchanged: int
    gone: list[str]
    edit: int | None


@dataclass(frozen=True)
class _Earlier:
    """The verdict that counts so far. `probability`: of the suggestion, by `model`."""

    verdict: str
    added: bool
    probability: float | None
    model: str


class _TagsChangeError(Exception):
    """A verdict changes tags, in a transaction that cannot."""


def judge(
    library: Library, verdicts: Sequence[Verdict], by: str = "", reviewer: str = ""
) -> Judged:
    """Store verdicts in one transaction: all of them, or none. `by`: the name of a key; without
    one, `reviewer` tells who gives them.

    Raises LibraryError for too many, for tags of nothing printable, and where a clip would have
    too many or too long ones; StorageError.
    """
    if len(verdicts) > MAX_VERDICTS:
        raise LibraryError(f"verdicts: expected at most {MAX_VERDICTS}, got {len(verdicts)}")
    model, catalogue = model_key(library.embedder), library.catalogue
    if all(verdict.verdict != "accept" for verdict in verdicts):
        try:  # a new generation costs searches their caches, and rejections change no clip
            with catalogue.database.transaction() as db:
                return _Judging(db, None, model, by or reviewer).judge(verdicts)
        except _TagsChangeError:
            pass
    with catalogue.write(Origin(by, "review")) as writer:
        return _Judging(writer.database, writer, model, by or reviewer).judge(verdicts)


class _Judging:
    """The verdicts of one transaction. `writer`: changes tags; None where none may change."""

    def __init__(self, db: sqlite3.Connection, writer: Writer | None, model: str, by: str) -> None:
        self._db, self._writer, self._model, self._by = db, writer, model, by
        self._now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def judge(self, verdicts: Sequence[Verdict]) -> Judged:
        """Store the verdicts."""
        rows = self._rows(verdict.clip for verdict in verdicts)
        counts: Counter[str] = Counter()
        gone: dict[str, None] = {}
        for verdict in verdicts:
            clip_id = normalize("NFC", verdict.clip)
            tag = printable_tag(verdict.tag)
            if not tag:
                raise LibraryError(f"tag: expected printable text, got {verdict.tag[:60]!r}")
            if clip_id not in rows:
                gone[verdict.clip] = None
                continue
            is_new = self._judge(rows[clip_id], clip_id, tag, verdict.verdict)
            counts[verdict.verdict if is_new else "unchanged"] += 1
        relearn(self._db, self._model, (text_key(printable_tag(one.tag)) for one in verdicts))
        return Judged(
            counts["accept"],
            counts["reject"],
            counts["undecided"],
            counts["unchanged"],
            list(gone),
            self._writer.edit_number if self._writer else None,
        )

    def _rows(self, ids: Iterable[str]) -> dict[str, int]:
        listed = json.dumps(sorted({normalize("NFC", clip_id) for clip_id in ids}))
        statement = "SELECT id, row FROM clips WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self._db.execute(statement, (listed,)).fetchall())

    def _judge(self, row: int, clip_id: str, tag: str, verdict: Decision) -> bool:
        """Store one verdict; whether it is another than the one before."""
        key = text_key(tag)
        db, where = self._db, (row, key)
        number, suggested = self._suggestion(row, key)
        db.execute("DELETE FROM leases WHERE row = ? AND tag = ?", (row, number))
        found = db.execute(
            "SELECT verdict, added, probability, model FROM verdicts "
            "WHERE latest AND row = ? AND key = ?",
            where,
        ).fetchone()
        earlier = _Earlier(*found) if found else _Earlier("undecided", False, None, "")
        added = verdict == "accept" and self._change_tags(clip_id, add=(tag,))
        if earlier.verdict == verdict and not added:  # an edit may have taken the tag off
            return False
        probability, model = suggested, self._model
        if probability is None:
            probability, model = earlier.probability, earlier.model or self._model
        if earlier.added and verdict != "accept":
            self._change_tags(clip_id, remove=(tag,))
        db.execute("UPDATE verdicts SET latest = 0 WHERE latest AND row = ? AND key = ?", where)
        db.execute(
            "INSERT INTO verdicts (row, tag, key, verdict, latest, added, probability, model, "
            "given_by, given_at) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)",
            (row, tag, key, verdict, added, probability, model, self._by, self._now),
        )
        if verdict != "undecided":
            db.execute("DELETE FROM suggestions WHERE tag = ? AND row = ?", (number, row))
        elif probability is not None and number is not None and model == self._model:
            self._suggest_again(row, number, key, probability)
        return True

    def _suggestion(self, row: int, key: str) -> tuple[int | None, float | None]:
        """The tag's number, and the probability with which it waits."""
        found = self._db.execute(
            "SELECT number, probability FROM suggested_tags LEFT JOIN suggestions "
            "ON suggestions.tag = number AND suggestions.row = ? WHERE key = ?",
            (row, key),
        ).fetchone()
        return (found[0], found[1]) if found else (None, None)

    def _suggest_again(self, row: int, number: int, key: str, probability: float) -> None:
        [tags] = self._db.execute("SELECT tags FROM clips WHERE row = ?", (row,)).fetchone()
        if key not in map(text_key, tags.split()):
            self._db.execute(
                "INSERT OR IGNORE INTO suggestions (tag, row, probability) VALUES (?, ?, ?)",
                (number, row, probability),
            )

    def _change_tags(
        self, clip_id: str, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> bool:
        if self._writer is None:
            raise _TagsChangeError
        return self._writer.change_tags(clip_id, add, remove)
