"""Catalogues of older versions: their texts are cleaned once, all or none, and users are told."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from earmark.index import feedback
from earmark.index.catalogue import schema
from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.index.library import SNAPSHOT, Library
from earmark.index.statistics import StatisticsCache
from earmark.index.types import Filter
from earmark.model.embedder import Embedder
from tests.index import made
from tests.index.made import new_clip, vector

# id, title, tags, author, source, licence, description
CLIPS = [
    ("a", "Cafe\u0301\u200b\nMorgen", "cafe\u0301 CAFÉ rain Rain", "Rene\u0301", "", "", "a\u030a"),
    ("b", "Rain", "rain Rooster", "Ann", "Tapes", "CC0-1.0", "one\ntwo"),
    ("e\u0301", "Bell", "bell", "", "To\u0308n", "", ""),
    ("é", "Bell", "bell\u200e Straße STRASSE", "", "", "", ""),
]  # fmt: skip
CLEAN = [
    ("a", "Café Morgen", ("café", "rain"), "René", "", "", "å"),
    ("b", "Rain", ("rain", "Rooster"), "Ann", "Tapes", "CC0-1.0", "one\ntwo"),
    ("é-2", "Bell", ("bell",), "", "Tön", "", ""),
    ("é", "Bell", ("bell", "Straße"), "", "", "", ""),
]
TEXTS = ("id", "title", "tags", "author", "source", "licence", "description")


def make(folder: Path, version: int) -> None:
    """A catalogue of an older version with these clips, of generation 7, and feedback on one."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for statement in (each for step in schema.MIGRATIONS[:version] for each in step):
            assert isinstance(statement, str)
            db.execute(statement)
        meta = {"library": "x", "fingerprint": "f", "dim": "4", "generation": "7"}
        db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        for row, texts in enumerate(CLIPS, 1):
            values = {
                **dict(zip(TEXTS, texts, strict=True)),
                **dict.fromkeys(("size", "mtime_ns", "duration", "sample_rate", "channels"), 1),
                **{"row": row, "generation": row, "path": f"/e\u0301/{row}.wav"},
                **{"sha256": str(row) * 64, "vector": vector(row).tobytes()},
                **{"added_at": "2026-01-01", "changed_at": "2026-01-02"},
            }
            names = ", ".join(values)
            db.execute(
                f"INSERT INTO clips ({names}) VALUES ({', '.join('?' * len(values))})",
                tuple(values.values()),
            )
        db.execute(
            "INSERT INTO feedback VALUES (1, 1, '', '', ?, ?, 'Wind', 'ann', '2026-01-01', 'f')",
            ("Cafe\u0301", "cafe\u0301 Café storm"),
        )
        db.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", [4, 5])
def test_texts_are_cleaned_when_an_older_catalogue_is_opened(
    tmp_path: Path, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "old"
    make(folder, version)
    with closing(Catalogue.open(folder)) as catalogue:
        clips = catalogue.clips()
        assert [tuple(getattr(clip, name) for name in TEXTS) for clip in clips] == CLEAN
        assert [clip.path for clip in clips] == [f"/e\u0301/{row}.wav" for row in range(1, 5)]
        # Stores follow: what changed is of a new generation, and nothing else is.
        assert [clip.generation for clip in clips] == [8, 2, 8, 8]
        assert catalogue.meta("generation") == "8"
        assert catalogue.changes(7).rows.tolist() == [1, 3, 4]
        assert {clip.changed_at for clip in clips} == {"2026-01-02"}
        [opinion] = feedback.newest(catalogue, 9)
        assert (opinion.title, opinion.accepted) == ("Café", ("café", "storm"))
        assert opinion.rejected == ("Wind",)
    [told] = caplog.records
    assert told.getMessage() == (
        f"library {folder}: cleaned the texts of 3 clips; merged 3 tags of 2 clips with others "
        "that differed only in letter case or in how Unicode composes letters"
    )
    caplog.clear()
    with closing(Catalogue.open(folder)) as catalogue:
        assert (catalogue.meta("generation"), caplog.records) == ("8", [])


def test_clean_texts_are_left_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "old"
    make(folder, 5)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("DELETE FROM clips WHERE row != 2")
    with closing(Catalogue.open(folder)) as catalogue:
        assert (catalogue.meta("generation"), catalogue.clip("b").generation) == ("7", 2)
    assert not caplog.records


KILLED = """
import os, sys
from pathlib import Path
from earmark.index.catalogue import schema
from earmark.index.catalogue.catalogue import Catalogue
schema.MIGRATIONS = (*schema.MIGRATIONS, (lambda db: os.kill(os.getpid(), 9),))
Catalogue.open(Path(sys.argv[1]))
"""


def test_a_migration_that_is_killed_has_changed_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    make(folder, 5)
    assert made.run_program(KILLED, folder)[0] == -9
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (5,)
        assert db.execute(f"SELECT {', '.join(TEXTS)} FROM clips ORDER BY row").fetchall() == CLIPS
    with closing(Catalogue.open(folder)) as catalogue:
        assert catalogue.clip("a").tags == ("café", "rain")


def set_back_to_5(db: sqlite3.Connection) -> None:
    """Drop what later versions made, the last first."""
    made = r"CREATE (TABLE|INDEX) (\w+)|ALTER TABLE (\w+) ADD COLUMN (\w+)"
    for step in (step for steps in reversed(schema.MIGRATIONS[6:]) for step in reversed(steps)):
        if isinstance(step, str) and (found := re.search(made, step)):
            kind, name, table, column = found.groups()
            db.execute(
                f"DROP {kind} {name}" if kind else f"ALTER TABLE {table} DROP COLUMN {column}"
            )
    db.execute("PRAGMA user_version = 5")


def test_the_index_follows(
    tmp_path: Path, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "library"
    with Library.open(folder, embedder, create=True) as library:
        with library.catalogue.write() as writer:
            for seed, tag in enumerate(("dog", "CAFÉ", "dog")):
                own = vector(seed, embedder.dim)
                writer.put(new_clip(str(seed), seed, vector=own, tags=(tag,)))
        library.refresh()
    assert (folder / SNAPSHOT).is_file()
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("UPDATE clips SET tags = ? WHERE row = 1", ("cafe\u0301 dog café",))
        set_back_to_5(db)
    with Library.open(folder, embedder) as library:
        assert StatisticsCache(library).get().tags == (("café", 2), ("dog", 2))
        assert sorted(library.store.passing(Filter(all_tags=("CAFE\u0301",))).tolist()) == [1, 2]
        assert library.store.passing(Filter(no_tags=("cafe\u0301",))).tolist() == [3]
    assert [record.name for record in caplog.records] == ["earmark.index.catalogue.catalogue"]
