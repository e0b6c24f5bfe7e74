"""The catalogue's tables, and the migrations from older versions.

`row` identifies a clip in the vector store; SQLite never assigns it twice. `generation` counts
committed writes: `clips` stores the generation of a clip's last change, `removed` that of its
removal. So whatever is derived from the catalogue can read only the changes since its generation.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from earmark.index.catalogue.file_names import fill_categories
from earmark.index.catalogue.text_migration import clean_texts

APPLICATION_ID = 0x4541524D  # "EARM"
VERSION = 7
TITLE_ORDER = "substr(title, 1, 100) COLLATE NOCASE"  # what titles are ordered by, with an index

# A statement, or a function that returns a sentence on what it did, "" where there is nothing to
# tell.
Step = str | Callable[[sqlite3.Connection], str]

# MIGRATIONS[v] brings a catalogue from version v to v + 1.
MIGRATIONS: tuple[tuple[Step, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE clips (
            row INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            path TEXT NOT NULL UNIQUE,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            title TEXT NOT NULL,
            tags TEXT NOT NULL,
            author TEXT NOT NULL,
            source TEXT NOT NULL,
            licence TEXT NOT NULL,
            duration REAL NOT NULL,
            sample_rate INTEGER NOT NULL,
            channels INTEGER NOT NULL,
            added_at TEXT NOT NULL,
            generation INTEGER NOT NULL,
            vector BLOB NOT NULL
        )
        """,
        "CREATE INDEX clips_by_generation ON clips (generation)",
        """
        CREATE TABLE windows (
            row INTEGER PRIMARY KEY REFERENCES clips (row) ON DELETE CASCADE,
            starts BLOB NOT NULL,
            vectors BLOB NOT NULL
        )
        """,
        "CREATE TABLE removed (row INTEGER PRIMARY KEY, generation INTEGER NOT NULL)",
        "CREATE INDEX removed_by_generation ON removed (generation)",
        "CREATE TABLE failures (path TEXT PRIMARY KEY, reason TEXT NOT NULL, at TEXT NOT NULL)",
        "CREATE VIRTUAL TABLE clip_words USING fts5 (title, tags, tokenize = 'porter unicode61')",
    ),
    ("CREATE INDEX clips_by_sha256 ON clips (sha256)",),
    (
        "ALTER TABLE clips ADD COLUMN description TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE clips ADD COLUMN changed_at TEXT NOT NULL DEFAULT ''",
        "UPDATE clips SET changed_at = added_at",
        "DROP TABLE clip_words",  # the vector store matches words
        "INSERT INTO meta VALUES ('store', 'faiss')",
    ),
    (
        # Feedback on a clip (`row`), or on a separate sound: `path` relative to the library.
        """
        CREATE TABLE feedback (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            row INTEGER REFERENCES clips (row) ON DELETE CASCADE,
            path TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            title TEXT NOT NULL,
            accepted TEXT NOT NULL,
            rejected TEXT NOT NULL,
            given_by TEXT NOT NULL,
            given_at TEXT NOT NULL,
            fingerprint TEXT NOT NULL
        )
        """,
        "CREATE INDEX feedback_by_row ON feedback (row)",
        "CREATE INDEX feedback_by_sha256 ON feedback (sha256)",
    ),
    (
        "ALTER TABLE clips ADD COLUMN damaged REAL NOT NULL DEFAULT 0.0",  # seconds left out
        "ALTER TABLE clips ADD COLUMN recorded TEXT NOT NULL DEFAULT ''",
    ),
    (clean_texts,),
    (
        "ALTER TABLE clips ADD COLUMN loudness REAL",  # LUFS; NULL: not measured
        "CREATE INDEX clips_by_duration ON clips (duration)",
        "CREATE INDEX clips_by_loudness ON clips (loudness)",
        f"CREATE INDEX clips_by_title ON clips ({TITLE_ORDER})",
        # An edit changed clips at once; `changes` keeps each clip's fields before and after, as
        # JSON objects of the fields that differ.
        """
        CREATE TABLE edits (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            made_at TEXT NOT NULL,
            made_by TEXT NOT NULL,
            means TEXT NOT NULL,
            undoes INTEGER,
            undone_by INTEGER
        )
        """,
        """
        CREATE TABLE changes (
            edit INTEGER NOT NULL REFERENCES edits (number),
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            before TEXT NOT NULL,
            after TEXT NOT NULL,
            PRIMARY KEY (row, edit)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX changes_by_edit ON changes (edit)",
        # `generation`: of a collection's last change; `follows`: a kept search, as JSON.
        """
        CREATE TABLE collections (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE,
            description TEXT NOT NULL,
            follows TEXT,
            created_at TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            generation INTEGER NOT NULL
        )
        """,
        # `place`: ascending in the collection's order, with gaps for clips that are moved.
        """
        CREATE TABLE collection_clips (
            collection INTEGER NOT NULL REFERENCES collections (number) ON DELETE CASCADE,
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            place INTEGER NOT NULL,
            PRIMARY KEY (collection, row)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX collection_clips_by_place ON collection_clips (collection, place)",
        "CREATE INDEX collection_clips_by_row ON collection_clips (row)",
        """
        INSERT INTO collections (
            id, name, name_key, description, created_at, changed_at, generation
        ) VALUES (
            'favourites', 'Favourites', 'favourites', '',
            strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'),
            strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), 0
        )
        """,
        # The generation of the clip's last change of sound; NULL: that of its last change.
        "ALTER TABLE clips ADD COLUMN sound_generation INTEGER",
        # Suggested tags that wait for somebody's word (`index.curation`). `number`: of a tag in the
        # model's vocabulary; `start`: its calibrated threshold, and what review has made of it.
        """
        CREATE TABLE suggested_tags (
            number INTEGER PRIMARY KEY,
            tag TEXT NOT NULL,
            key TEXT NOT NULL UNIQUE,
            start REAL NOT NULL,
            threshold REAL NOT NULL
        )
        """,
        """
        CREATE TABLE suggestions (
            tag INTEGER NOT NULL,
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            probability REAL NOT NULL,
            PRIMARY KEY (tag, row)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX suggestions_by_row ON suggestions (row)",
        # How far they are computed, in one row: all changes up to `generation`; of those up to
        # `target` the clips up to `row`. `worker` does so until the time `until`, or dies.
        """
        CREATE TABLE suggesting (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            model TEXT NOT NULL,
            asked INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            target INTEGER NOT NULL,
            row INTEGER NOT NULL,
            done INTEGER NOT NULL,
            total INTEGER NOT NULL,
            worker TEXT NOT NULL,
            until REAL NOT NULL
        )
        """,
        # Every verdict on a clip's tag; the `latest` one counts. `added`: it gave the tag to the
        # clip.
        """
        CREATE TABLE verdicts (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            tag TEXT NOT NULL,
            key TEXT NOT NULL,
            verdict TEXT NOT NULL,
            latest INTEGER NOT NULL,
            added INTEGER NOT NULL,
            probability REAL,
            model TEXT NOT NULL,
            given_by TEXT NOT NULL,
            given_at TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX latest_verdicts ON verdicts (row, key) WHERE latest",
        "CREATE INDEX verdicts_by_row ON verdicts (row)",
        "CREATE INDEX verdicts_by_key ON verdicts (key) WHERE latest",
        # Suggestions that a reviewer has in hand, until a time.
        """
        CREATE TABLE leases (
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            tag INTEGER NOT NULL,
            holder TEXT NOT NULL,
            until REAL NOT NULL,
            PRIMARY KEY (row, tag)
        ) WITHOUT ROWID
        """,
        "ALTER TABLE clips ADD COLUMN category TEXT NOT NULL DEFAULT ''",  # of UCS names
        fill_categories,
        # Sounds that people teach (`index.curation.classifiers`). `start`, `start_bias`: of the
        # classifier that was imported, else NULL; `version`: the last one fitted, 0 before.
        """
        CREATE TABLE classifiers (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE,
            tag TEXT NOT NULL,
            start BLOB,
            start_bias REAL,
            created_at TEXT NOT NULL,
            changed_at TEXT NOT NULL,
            generation INTEGER NOT NULL,
            version INTEGER NOT NULL
        )
        """,
        # `start` and `end`: seconds of a moment; both 0 for the whole clip.
        """
        CREATE TABLE classifier_labels (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            classifier INTEGER NOT NULL REFERENCES classifiers (number) ON DELETE CASCADE,
            row INTEGER NOT NULL REFERENCES clips (row) ON DELETE CASCADE,
            start REAL NOT NULL,
            end REAL NOT NULL,
            right INTEGER NOT NULL,
            given_by TEXT NOT NULL,
            given_at TEXT NOT NULL,
            UNIQUE (classifier, row, start, end)
        )
        """,
        "CREATE INDEX classifier_labels_by_row ON classifier_labels (row)",
        # What was fitted: float32 weights of unit vectors, a bias, figures as JSON.
        """
        CREATE TABLE classifier_versions (
            classifier INTEGER NOT NULL REFERENCES classifiers (number) ON DELETE CASCADE,
            version INTEGER NOT NULL,
            fingerprint TEXT NOT NULL,
            vector BLOB NOT NULL,
            bias REAL NOT NULL,
            figures TEXT NOT NULL,
            fitted_at TEXT NOT NULL,
            PRIMARY KEY (classifier, version)
        ) WITHOUT ROWID
        """,
    ),
)


def migrate(db: sqlite3.Connection, version: int) -> list[str]:
    """Migrate the tables from `version` to the newest, in the caller's transaction.

    Returns sentences on what changed that users know of.
    """
    sentences = []
    for step in (step for steps in MIGRATIONS[version:] for step in steps):
        if isinstance(step, str):
            db.execute(step)
        elif sentence := step(db):
            sentences.append(sentence)
    db.execute(f"PRAGMA user_version = {VERSION}")
    return sentences
