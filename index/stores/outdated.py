"""Conditions that stores in the form of an older version cannot tell, as rows of the catalogue."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.changed_clips import ADDED_DAY
from earmark.index.types import Filter, RowSet

_NOTHING = Filter()
_FIELDS = (
    "sample_rates",
    "channels",
    "categories",
    "min_loudness",
    "max_loudness",
    "added_after",
    "added_before",
)


def with_rows(where: Filter, catalogue: Catalogue) -> Filter:
    """The filter with `members` in place of its conditions on facts of files. Raises StorageError.

    The whole catalogue is read for it: until a store of today's form is built.
    """
    first, end = where.added
    choice = "IN (SELECT value FROM json_each(?))"
    conditions = {
        f"sample_rate {choice}": _json(where.sample_rates),
        f"channels {choice}": _json(where.channels),
        f"category COLLATE NOCASE {choice}": json.dumps(where.categories)
        if where.categories
        else None,
        "loudness >= ?": where.min_loudness,
        "loudness <= ?": where.max_loudness,
        f"{ADDED_DAY} >= ?": first,
        f"{ADDED_DAY} < ?": end,
    }
    conditions = {text: value for text, value in conditions.items() if value is not None}
    if not conditions:
        return where
    rows = catalogue.rows_where(" AND ".join(conditions), list(conditions.values()))
    if where.members is not None:
        rows = np.intersect1d(rows, where.members.rows, assume_unique=True)
    cleared: dict[str, Any] = {name: getattr(_NOTHING, name) for name in _FIELDS}
    return replace(where, members=RowSet(rows), **cleared)


def _json(values: tuple[int, ...] | tuple[str, ...]) -> str | None:
    return json.dumps(values) if values else None
