"""Places of clips in an order: a value, then the row. Each order has an index in the schema."""

from __future__ import annotations

import json
from dataclasses import dataclass

from earmark.index.catalogue.catalogue import Catalogue
from earmark.model.core.arrays import Rows

Value = int | float | str | None  # None: not known
Place = tuple[Value, int]  # the value that a clip is ordered by, and its row


@dataclass(frozen=True)
class PlaceOrder:
    """An order by an SQL expression of one kind of value, then by row in the same direction;
    `gaps`: some values are not known, and come last, by row."""

    by: str
    kind: type
    descending: bool = False
    gaps: bool = False


def places(
    catalogue: Catalogue,
    order: PlaceOrder,
    after: Place | None,
    limit: int,
    rows: Rows | None = None,
) -> list[Place]:
    """The first `limit` places after one, of all clips or of those in `rows`.

    Raises StorageError.
    """
    direction, beyond = ("DESC", "<") if order.descending else ("ASC", ">")
    ordered = f"ORDER BY {order.by} {direction}, row {direction}"
    # One search of the index each: SQLite does not search for both values at once in every order.
    parts: list[tuple[str, tuple[Value, ...]]] = []
    if after is None:
        parts.append((f"{order.by} IS NOT NULL {ordered}" if order.gaps else f"true {ordered}", ()))
    elif after[0] is not None:
        parts.append((f"{order.by} = ? AND row {beyond} ? ORDER BY row {direction}", after))
        parts.append((f"{order.by} {beyond} ? {ordered}", after[:1]))
    if order.gaps:
        last = after[1] if after is not None and after[0] is None else 0
        parts.append((f"{order.by} IS NULL AND row > ? ORDER BY row", (last,)))
    found: list[Place] = []
    for condition, values in parts:
        if len(found) < limit:
            found += _select(catalogue, order.by, condition, values, limit - len(found), rows)
    return found


def _select(
    catalogue: Catalogue,
    by: str,
    condition: str,
    values: tuple[Value, ...],
    limit: int,
    rows: Rows | None,
) -> list[Place]:
    some = "true"
    if rows is not None:
        some, values = (
            "row IN (SELECT value FROM json_each(?))",
            (json.dumps(rows.tolist()), *values),
        )
    return catalogue.database.query(
        f"SELECT {by}, row FROM clips WHERE {some} AND {condition} LIMIT ?",  # noqa: S608 (constants)
        (*values, limit),
    )
