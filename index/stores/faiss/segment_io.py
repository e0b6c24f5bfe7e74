"""Segments as arrays of a snapshot, and back."""

from __future__ import annotations

import json
from typing import Any

import faiss
import numpy as np

from earmark.index.stores import snapshot
from earmark.index.stores.columns import Columns, ListColumn, NameColumn
from earmark.index.stores.faiss.segment import Segment

NAMES = ("licences", "sources")
LISTS = ("tags", "words", "described")
LAYOUT = 2  # in 1 there were no windows
TEXTS = 3  # how terms are made of words; in 2 there were neither parts of runs nor stop words


def header(segment: Segment) -> dict[str, Any]:
    """A segment's entry in the header of a snapshot."""
    return {"probes": segment.probes, "recall": segment.recall, "trained_on": segment.trained_on}


def parts(prefix: str, segment: Segment) -> snapshot.Arrays:
    """A segment's arrays, by names that begin with `prefix`."""
    arrays: snapshot.Arrays = {
        "rows": segment.rows,
        "ends": segment.ends,
        "index": faiss.serialize_index(segment.index),
        "durations": segment.columns.durations,
    }
    for name in NAMES:
        arrays |= _arrays(name, getattr(segment.columns, name))
    for name in LISTS:
        lists: ListColumn = getattr(segment.columns, name)
        arrays |= _arrays(name, lists.values) | {f"{name}.ends": lists.ends}
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _arrays(name: str, column: NameColumn) -> snapshot.Arrays:
    text = json.dumps(column.names).encode()
    return {
        f"{name}.codes": column.codes,
        f"{name}.names": np.frombuffer(text, dtype=np.uint8),
    }


def read(prefix: str, header: dict[str, Any], all_parts: snapshot.Arrays) -> Segment:
    """The inverse of `header` and `parts`. Raises KeyError, RuntimeError."""
    arrays = {name.removeprefix(f"{prefix}."): array for name, array in all_parts.items()}

    def names(name: str) -> NameColumn:
        text = arrays[f"{name}.names"].tobytes()
        return NameColumn(arrays[f"{name}.codes"], tuple(json.loads(text)))

    def lists(name: str) -> ListColumn:
        return ListColumn(names(name), arrays[f"{name}.ends"])

    columns = Columns(
        arrays["durations"],
        names("licences"),
        names("sources"),
        lists("tags"),
        lists("words"),
        lists("described"),
    )
    rows = arrays["rows"]
    # Layout 1 has one vector of each clip.
    ends = arrays.get("ends", np.arange(1, len(rows) + 1, dtype=np.int64))
    return Segment(rows, columns, ends, faiss.deserialize_index(arrays["index"]), **header)
