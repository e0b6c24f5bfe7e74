"""All clips of a library in pages: newest first, or by id.

Pages stay stable while others write. A cursor holds the last clip of the page before; clips that
are added meanwhile come before the newest, where no later page looks.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import MAX_ID_CHARACTERS, Clip
from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.search.cursor import digest
from earmark.index.types import Filter
from earmark.model.core.arrays import Rows

Order = Literal["newest", "id"]

MAX_CURSOR_CHARACTERS = 10 * MAX_ID_CHARACTERS
MAX_ROW = 2**62  # above every row
SCAN_ROWS = 2_000  # ids read at a time where a filter passes few


@dataclass(frozen=True)
class ClipPage:
    """A page of clips. `next`: the next page's cursor, empty after the last; `total`: clips that
    pass the filter."""

    clips: list[Clip]
    next: str
    total: int


def list_clips(
    library: Library,
    k: int,
    where: Filter | None = None,
    order: Order = "newest",
    cursor: str = "",
) -> ClipPage:
    """The first k clips that pass a filter, or the first k after a cursor. Raises
    CursorError, UnknownCollectionError."""
    library.refresh()
    where = where or Filter()
    query = f"{order} {where}"
    after = _after(cursor, query, order) if cursor else None
    passing = None if where.empty else library.passing(where)
    catalogue = library.catalogue
    if order == "newest":
        assert not isinstance(after, str), "this order's cursors hold rows"
        clips = _newest(catalogue, k + 1, passing, after)
    else:
        assert not isinstance(after, int), "this order's cursors hold ids"
        clips = _by_id(catalogue, k + 1, passing, after)
    last: int | str = ""
    if len(clips) > k:
        last = clips[k - 1].row if order == "newest" else clips[k - 1].id
    return ClipPage(
        clips[:k],
        _cursor(query, last) if last != "" else "",
        catalogue.count() if passing is None else len(passing),
    )


def _newest(
    catalogue: Catalogue, limit: int, passing: Rows | None, after: int | None
) -> list[Clip]:
    if passing is None:
        return catalogue.clips_where("row < ? ORDER BY row DESC", after or MAX_ROW, limit)
    end = len(passing) if after is None else int(np.searchsorted(passing, after))
    found: list[Clip] = []
    while end > 0 and len(found) < limit:  # clips may have been removed meanwhile
        begin = max(0, end - limit)
        clips = catalogue.clips_by_row(passing[begin:end].tolist())
        found += [clips[row] for row in sorted(clips, reverse=True)]
        end = begin
    return found[:limit]


def _by_id(catalogue: Catalogue, limit: int, passing: Rows | None, after: str | None) -> list[Clip]:
    last_id = after or ""
    if passing is None:
        return catalogue.clips_where("id > ? ORDER BY id", last_id, limit)
    found: list[Clip] = []
    while len(found) < limit:
        rows_and_ids = catalogue.rows_after_id(last_id, SCAN_ROWS)
        if not rows_and_ids:
            break
        last_id = rows_and_ids[-1][1]
        rows = np.array([row for row, _ in rows_and_ids], dtype=np.int64)
        selected = rows[_contained(rows, passing)].tolist()[: limit - len(found)]
        clips = catalogue.clips_by_row(selected)
        found += sorted(clips.values(), key=lambda clip: clip.id.encode())
    return found


def _contained(rows: Rows, passing: Rows) -> np.ndarray:
    """[n], True where a row is in `passing` (ascending)."""
    if not len(passing):
        return np.zeros(len(rows), dtype=np.bool_)
    indices = np.minimum(np.searchsorted(passing, rows), len(passing) - 1)
    return np.asarray(passing[indices] == rows)


def _cursor(query: str, last: int | str) -> str:
    values = json.dumps([digest(query), last]).encode()
    return base64.urlsafe_b64encode(values).decode().rstrip("=")


def _after(cursor: str, query: str, order: Order) -> int | str:
    """The last clip of the page before. Raises CursorError."""
    problem = CursorError(f"cursor: expected one that a list gave, got {cursor[:40]!r}")
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise problem
    try:
        values: Sequence[object] = json.loads(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        )
        query_digest, last = values
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise problem from error
    if query_digest != digest(query):
        raise CursorError("cursor: expected one of this very list, got another's")
    if order == "newest" and type(last) is int and 0 <= last < MAX_ROW:
        return last
    if order == "id" and isinstance(last, str) and last.isprintable():
        return last
    raise problem
