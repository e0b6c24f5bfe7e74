"""All clips of a library in pages, in one of several orders.

Pages stay stable while others write: a cursor holds the place of the last clip of the page before,
not a count. Clips of equal length, loudness or title are ordered by when they were added; those
whose loudness is not known come last. Each order is that of an index of the catalogue.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.places import Place, PlaceOrder, Value, places
from earmark.index.catalogue.records import MAX_ID_CHARACTERS, Clip
from earmark.index.catalogue.schema import TITLE_ORDER
from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.search.cursor import digest
from earmark.index.types import Filter
from earmark.model.core.arrays import Rows, are_among

Order = Literal["newest", "oldest", "shortest", "longest", "title", "loudest", "quietest", "id"]

MAX_CURSOR_CHARACTERS = 20 * MAX_ID_CHARACTERS  # each of an id may be 12 in JSON
MAX_ROW = 2**62  # above every row
SCAN_ROWS = 2_000  # places read at a time where a filter passes few
UNIQUE = ("row", "id")  # columns by which a place is known alone
SCANS = 2  # times as many as pass: places that are read before those that pass are looked up

ORDERS: dict[Order, PlaceOrder] = {
    "newest": PlaceOrder("row", int, descending=True),
    "oldest": PlaceOrder("row", int),
    "shortest": PlaceOrder("duration", float),
    "longest": PlaceOrder("duration", float, descending=True),
    "title": PlaceOrder(TITLE_ORDER, str),
    "loudest": PlaceOrder("loudness", float, descending=True, gaps=True),
    "quietest": PlaceOrder("loudness", float, gaps=True),
    "id": PlaceOrder("id", str),
}


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
    where, places_by = where or Filter(), ORDERS[order]
    query = f"{order} {where}"
    after = _after(cursor, query, places_by) if cursor else None
    passing = None if where.empty else library.passing(where)
    catalogue = library.catalogue
    found: list[Place] = []
    clips: dict[int, Clip] = {}
    for chunk in _chunks(catalogue, places_by, after, passing, k + 1):
        clips |= catalogue.clips_by_row([row for _, row in chunk])
        # Some may have been removed meanwhile.
        found += [place for place in chunk if place[1] in clips]
        if len(found) > k:
            break
    return ClipPage(
        [clips[row] for _, row in found[:k]],
        _cursor(query, places_by, found[k - 1]) if len(found) > k else "",
        catalogue.count() if passing is None else len(passing),
    )


def _chunks(
    catalogue: Catalogue, order: PlaceOrder, after: Place | None, passing: Rows | None, limit: int
) -> Iterator[Sequence[Place]]:
    """The places of the clips after one, of those that pass, in chunks of about `limit`."""
    if passing is not None and order.by == "row":
        yield from _row_chunks(order, after, passing, limit)
        return
    size = limit if passing is None else max(limit, SCAN_ROWS)
    scans = math.inf if passing is None else SCANS * len(passing)
    while scans > 0:
        chunk = places(catalogue, order, after, size)
        if not chunk:
            return
        scans -= len(chunk)
        after = chunk[-1]
        yield chunk if passing is None else _contained(chunk, passing)
    if passing is not None:
        while chunk := places(catalogue, order, after, limit, passing):
            after = chunk[-1]
            yield chunk


def _row_chunks(
    order: PlaceOrder, after: Place | None, passing: Rows, limit: int
) -> Iterator[Sequence[Place]]:
    """The same in the order of rows. `passing`: ascending."""
    rows = passing[::-1] if order.descending else passing
    if after is not None:
        is_later = rows < after[1] if order.descending else rows > after[1]
        rows = rows[is_later]
    for start in range(0, len(rows), limit):
        yield [(row, row) for row in rows[start : start + limit].tolist()]


def _contained(chunk: Sequence[Place], passing: Rows) -> list[Place]:
    """The places of clips that pass (ascending)."""
    passes = are_among(np.array([row for _, row in chunk], dtype=np.int64), passing)
    return [place for place, own in zip(chunk, passes.tolist(), strict=True) if own]


def _cursor(query: str, order: PlaceOrder, last: Place) -> str:
    own = last[:1] if order.by in UNIQUE else last
    values = json.dumps([digest(query), *own]).encode()
    return base64.urlsafe_b64encode(values).decode().rstrip("=")


def _after(cursor: str, query: str, order: PlaceOrder) -> Place:
    """The place of the last clip of the page before. Raises CursorError."""
    problem = CursorError(f"cursor: expected one that a list gave, got {cursor[:40]!r}")
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise problem
    try:
        query_digest, value, *rest = json.loads(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        )
        if order.by in UNIQUE:
            rest = [value if order.by == "row" else MAX_ROW - 1, *rest]
        (row,) = rest
        is_place = _is_value(value, order) and type(row) is int and 0 <= row < MAX_ROW
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise problem from error
    if query_digest != digest(query):
        raise CursorError("cursor: expected one of this very list, got another's")
    if not is_place:
        raise problem
    return value, row


def _is_value(value: Value, order: PlaceOrder) -> bool:
    """Whether clips may have it. Raises ValueError for texts that cannot be encoded."""
    if isinstance(value, str):
        return order.kind is str and len(value.encode()) >= 0
    if value is None:
        return order.gaps
    return type(value) in (int, order.kind) and order.kind is not str and abs(value) < MAX_ROW
