"""The texts of older catalogues → as they are kept today: clean, in NFC, each tag once.

A step of the migrations (`index.catalogue.schema`), so it is done as a whole or not at all. Paths
stay as they are on disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from unicodedata import normalize

from earmark.index.catalogue.metadata import UNTITLED, clean_line, clean_lines, printable_tags
from earmark.index.catalogue.writer import free_id

BATCH_ROWS = 5_000  # read at a time

Texts = dict[str, str]  # by column


def _composed(text: str) -> str:
    return normalize("NFC", text)


def _tags(text: str) -> str:
    return " ".join(printable_tags(text.split()))


# How each column is cleaned. Later versions have more columns.
_CLIP_TEXTS = {
    "id": _composed,
    "title": clean_line,
    "tags": _tags,
    "author": clean_line,
    "source": clean_line,
    "licence": clean_line,
    "description": clean_lines,
}
_FEEDBACK_TEXTS = {"title": clean_line, "accepted": _tags, "rejected": _tags}


def clean_texts(db: sqlite3.Connection) -> str:
    """Clean the texts of all clips and of feedback, in the caller's transaction.

    Clips that change get a new generation, so that stores follow. Returns a sentence on what was
    done with clips; "" where nothing was.
    """
    found = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    generation = str(int(found[0]) + 1) if found else "0"  # none yet in a catalogue that is created
    clips = merged_clips = merged_tags = 0
    for row, before, after in _changes(db, "clips", "row", _CLIP_TEXTS):
        if before["title"] and not after["title"]:
            after["title"] = UNTITLED
        if after["id"] != before["id"]:
            after["id"] = free_id(db, after["id"])
        _update(db, "clips", "row", row, {**after, "generation": generation})
        repeats = len(before["tags"].split()) - len(after["tags"].split())
        clips, merged_clips, merged_tags = (
            clips + 1, merged_clips + bool(repeats), merged_tags + repeats,
        )  # fmt: skip
    for number, _, after in _changes(db, "feedback", "number", _FEEDBACK_TEXTS):
        _update(db, "feedback", "number", number, after)
    if not clips:
        return ""
    db.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (generation,))
    return (
        f"cleaned the texts of {clips} clips; merged {merged_tags} tags of {merged_clips} clips "
        "with others that differed only in letter case or in how Unicode composes letters"
    )


def _changes(
    db: sqlite3.Connection, table: str, key: str, columns: Mapping[str, Callable[[str], str]]
) -> Iterator[tuple[int, Texts, Texts]]:
    """(key, texts, clean texts) of the rows whose texts are not clean."""
    statement = (
        f"SELECT {key}, {', '.join(columns)} FROM {table} WHERE {key} > ? "  # noqa: S608 (constant names)
        f"ORDER BY {key} LIMIT {BATCH_ROWS}"
    )
    last = 0
    while rows := db.execute(statement, (last,)).fetchall():
        last = rows[-1][0]
        for number, *values in rows:
            before = dict(zip(columns, values, strict=True))
            after = {name: clean(before[name]) for name, clean in columns.items()}
            if after != before:
                yield number, before, after


def _update(
    db: sqlite3.Connection, table: str, key: str, number: int, values: Mapping[str, str]
) -> None:
    assignments = ", ".join(f"{name} = ?" for name in values)
    db.execute(
        f"UPDATE {table} SET {assignments} WHERE {key} = ?",  # noqa: S608 (constant names)
        (*values.values(), number),
    )
