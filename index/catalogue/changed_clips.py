"""What was written to the catalogue after some generation, as vector stores take it in."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import numpy as np

from earmark.index.catalogue.moment_vectors import moment_vectors
from earmark.index.catalogue.records import Changes

MANY_EDITED = 5_000  # clips: fewer are taken in with their vectors, as if they were new
EDITED = "sound_generation <= :since"  # of a clip that had its sound then already
ADDED_DAY = "coalesce(CAST(strftime('%s', added_at) AS INTEGER) / 86400, 0)"


class _Columns(NamedTuple):
    """What is known of clips, column by column, in the order of Changes."""

    sample_rates: list[int]
    channels: list[int]
    licences: list[str]
    sources: list[str]
    categories: list[str]
    tags: list[str]
    titles: list[str]
    descriptions: list[str]


def count_clips(db: sqlite3.Connection, since: int, generation: int, condition: str) -> int:
    """The clips of a span of generations that meet a condition."""
    found = db.execute(
        f"SELECT count(*) FROM clips WHERE generation > :since AND generation <= :to "  # noqa: S608 (constants)
        f"AND {condition}",
        {"since": since, "to": generation},
    )
    return int(found.fetchone()[0])


def changed_clips(
    db: sqlite3.Connection, span: tuple[int, int], dim: int, condition: str
) -> Changes:
    """The clips of a span of generations that meet a condition; with `dim` 0, without vectors."""
    since, generation = span
    # All of them are read in their order: by the index they would be sorted, in temporary files as
    # large as their vectors.
    key = "generation" if since else "+generation"
    where = f"WHERE {key} > :since AND {key} <= :to AND {condition}"
    values = {"since": since, "to": generation}
    join = "clips LEFT JOIN windows USING (row)" if dim else "clips"
    vector, windows = ("vector", "windows.vectors") if dim else ("x''", "NULL")
    (count, window_bytes) = db.execute(
        f"SELECT count(*), coalesce(sum(length({windows})), 0) FROM {join} {where}",  # noqa: S608 (constants)
        values,
    ).fetchone()
    rows, durations = np.empty(count, np.int64), np.empty(count, np.float32)
    loudness, added = np.empty(count, np.float32), np.empty(count, np.int32)
    vectors = np.empty((count + window_bytes // max(4 * dim, 1), dim), np.float32)
    ends, end = np.empty(count, np.int64), 0
    columns = _Columns([], [], [], [], [], [], [], [])
    clips = db.execute(
        f"SELECT row, {vector}, {windows}, duration, loudness, "  # noqa: S608 (constants)
        f"{ADDED_DAY}, sample_rate, channels, licence, source, category, "
        f"tags, title, description FROM {join} {where} ORDER BY row",
        values,
    )
    for position, (row, own, of_windows, duration, lufs, day, *rest) in enumerate(clips):
        rows[position], durations[position] = row, duration
        loudness[position] = np.nan if lufs is None else lufs
        added[position] = day
        vectors[end] = np.frombuffer(own, dtype=np.float32)
        end += 1
        if of_windows:
            moments = moment_vectors(np.frombuffer(of_windows, np.float32).reshape(-1, dim))
            vectors[end : end + len(moments)] = moments
            end += len(moments)
        ends[position] = end
        for place, value in enumerate(rest):
            columns[place].append(value)
    none = np.zeros(0, np.int64)
    return Changes(
        rows,
        vectors,
        ends,
        durations,
        loudness,
        added,
        *columns,
        removed=none,
        generation=generation,
    )


def last_generation(db: sqlite3.Connection, since: int, limit: int, newest: int) -> int:
    """The generation up to which about `limit` vectors have changed after `since`."""
    total = 0
    for generation, vectors in db.execute(
        "SELECT generation, count(*) + coalesce(sum(length(starts)) / 8, 0) "
        "FROM clips LEFT JOIN windows USING (row) WHERE generation > ? "
        "GROUP BY generation ORDER BY generation",
        (since,),
    ):
        total += vectors
        if total >= limit:
            return int(generation)
    return newest
