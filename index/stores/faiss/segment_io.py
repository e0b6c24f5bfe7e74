"""A segment as parts of a snapshot, and back."""

from __future__ import annotations

import json
from typing import Any

import faiss
import numpy as np

from earmark.index.stores import snapshot
from earmark.index.stores.columns import Columns, Lists, Names
from earmark.index.stores.faiss.segment import Segment

NAMES = ("licences", "sources")
LISTS = ("tags", "words", "described")


def says(each: Segment) -> dict[str, Any]:
    """What a snapshot's header holds of a segment."""
    return {"probes": each.probes, "recall": each.recall, "trained_on": each.trained_on}


def parts(name: str, each: Segment) -> snapshot.Arrays:
    """Its arrays, under names that begin with `name`."""
    own: snapshot.Arrays = {
        "rows": each.rows,
        "index": faiss.serialize_index(each.index),
        "durations": each.columns.durations,
    }
    for column in NAMES:
        own |= _names(column, getattr(each.columns, column))
    for column in LISTS:
        lists: Lists = getattr(each.columns, column)
        own |= _names(column, lists.values) | {f"{column}.ends": lists.ends}
    return {f"{name}.{part}": array for part, array in own.items()}


def _names(column: str, names: Names) -> snapshot.Arrays:
    text = json.dumps(names.names).encode()
    return {
        f"{column}.codes": names.codes,
        f"{column}.names": np.frombuffer(text, dtype=np.uint8),
    }


def segment(name: str, header: dict[str, Any], all_parts: snapshot.Arrays) -> Segment:
    """The inverse of `says` and `parts`. Raises KeyError, RuntimeError."""
    own = {part.removeprefix(f"{name}."): array for part, array in all_parts.items()}

    def names(column: str) -> Names:
        text = own[f"{column}.names"].tobytes()
        return Names(own[f"{column}.codes"], tuple(json.loads(text)))

    def lists(column: str) -> Lists:
        return Lists(names(column), own[f"{column}.ends"])

    columns = Columns(
        own["durations"],
        names("licences"),
        names("sources"),
        lists("tags"),
        lists("words"),
        lists("described"),
    )
    return Segment(own["rows"], columns, faiss.deserialize_index(own["index"]), **header)
