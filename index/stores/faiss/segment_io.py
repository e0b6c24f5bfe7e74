"""Segments as arrays of a snapshot, and back."""

from __future__ import annotations

import json
from typing import Any

import faiss
import numpy as np

from earmark.index.stores import snapshot
from earmark.index.stores.columns import Columns, ListColumn, NameColumn
from earmark.index.stores.faiss.segment import Segment

NAMES = ("sample_rates", "channels", "licences", "sources", "categories")
LISTS = ("tags", "words", "described")
VALUES = ("durations", "loudness", "added")
LAYOUT = 3  # in 1 there were no windows; in 2 no loudness, dates, sample rates …
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
        **{name: getattr(segment.columns, name) for name in VALUES},
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


def _unknown(count: int) -> snapshot.Arrays:
    """The arrays that older layouts lack, of `count` clips."""
    return {
        "loudness": np.full(count, np.nan, np.float32),
        "added": np.zeros(count, np.int32),
        **_arrays("sample_rates", NameColumn.of(["0"] * count)),
        **_arrays("channels", NameColumn.of(["0"] * count)),
        **_arrays("categories", NameColumn.of([""] * count)),
    }


def read(prefix: str, header: dict[str, Any], all_parts: snapshot.Arrays) -> Segment:
    """The inverse of `header` and `parts`. Raises KeyError, RuntimeError."""
    arrays = {name.removeprefix(f"{prefix}."): array for name, array in all_parts.items()}

    rows = arrays["rows"]
    if "added" not in arrays:  # layouts 1 and 2
        arrays |= _unknown(len(rows))

    def names(name: str) -> NameColumn:
        text = arrays[f"{name}.names"].tobytes()
        return NameColumn(arrays[f"{name}.codes"], tuple(json.loads(text)))

    def lists(name: str) -> ListColumn:
        return ListColumn(names(name), arrays[f"{name}.ends"])

    columns = Columns(
        arrays["durations"],
        arrays["loudness"],
        arrays["added"],
        names("sample_rates"),
        names("channels"),
        names("licences"),
        names("sources"),
        names("categories"),
        lists("tags"),
        lists("words"),
        lists("described"),
    )
    # Layout 1 has one vector of each clip.
    ends = arrays.get("ends", np.arange(1, len(rows) + 1, dtype=np.int64))
    return Segment(rows, columns, ends, faiss.deserialize_index(arrays["index"]), **header)
