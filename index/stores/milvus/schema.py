"""The schema of a library's collection in Milvus: fields, indexes, rows.

Conventions: licences, sources, categories, tags and words are hashes
(`index.stores.milvus.filters`); `words` are the terms of title and tags, `described` those that
only the description holds, `weights` both as a sparse vector of their weights. The partition
`clips` holds one row for each clip, with its own vector; `windows` one for each window of a long
clip, which is filtered as the clip is; `state` a single row: its `generation` is the catalogue's
generation that the clips are of. `key` is made of `row`, the clip's number, and the window's.

Collections of layout 2 lack `FILE_FIELDS`; those of layout 1 have neither windows nor `key` either:
`row` is their key. They are searched and written until one of this layout, 3, is built.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.terms import beginnings, clip_terms
from earmark.index.stores.columns import DESCRIPTION_WEIGHT
from earmark.index.stores.milvus.client import TIMEOUT, import_pymilvus
from earmark.index.stores.milvus.filters import (
    dimension,
    level,
    name_number,
    number,
    tag_numbers,
)
from earmark.model.core.arrays import Rows

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 60  # seconds
LOAD_TIMEOUT = 600  # seconds until a cluster has loaded a large collection
CLIPS, WINDOWS, STATE = "clips", "windows", "state"
STATE_ROW = -1
WINDOW_BITS = 20  # of a key: 31 days of windows
# Consistency of searches: they see what this process wrote, and all that was written when it last
# read the generation. Only that read waits until Milvus has reached the moment: some 200 ms.
CONSISTENCY = "Session"
MAX_ARRAY = 4_096  # numbers in an array of Milvus
NUMBERS = ("licence", "source")
LISTS = ("tags", "words", "described")
LAYOUT = 3
FILE_FIELDS = ("loudness", "added", "sample_rate", "channels", "category")
FIELDS = {"row", "vector", "weights", "duration", "generation", *NUMBERS, *LISTS}
KEY = "key"
NO_WORDS = {0: 1.0}  # the sparse vector of no words: Milvus needs one dimension at least


def create(client: MilvusClient, uri: str, name: str, dim: int, lite: bool) -> None:
    """Create an empty collection, replace any of that name, and load it for searches."""
    kinds = import_pymilvus(uri).DataType
    client.drop_collection(name, timeout=WRITE_TIMEOUT)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(KEY, kinds.INT64, is_primary=True)
    schema.add_field("row", kinds.INT64)
    schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dim)
    schema.add_field("weights", kinds.SPARSE_FLOAT_VECTOR)
    schema.add_field("duration", kinds.FLOAT)
    schema.add_field("loudness", kinds.FLOAT)  # LUFS
    for field in FILE_FIELDS[1:]:
        schema.add_field(field, kinds.INT64)
    schema.add_field("generation", kinds.INT64)  # of the write that added the row
    for field in NUMBERS:
        schema.add_field(field, kinds.INT64)
    for field in LISTS:
        schema.add_field(field, kinds.ARRAY, element_type=kinds.INT64, max_capacity=MAX_ARRAY)
    # Strong: who reads the generation sees all earlier writes; see CONSISTENCY.
    client.create_collection(name, schema=schema, consistency_level="Strong", timeout=WRITE_TIMEOUT)
    for partition in (CLIPS, WINDOWS, STATE):
        client.create_partition(name, partition, timeout=WRITE_TIMEOUT)
    indexes = client.prepare_index_params()
    kind = "FLAT" if lite else "AUTOINDEX"
    indexes.add_index("vector", index_type=kind, metric_type="IP")
    indexes.add_index("weights", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    for field in (
        "row",
        "duration",
        *FILE_FIELDS,
        *NUMBERS,
        *(() if lite else LISTS),
    ):  # lite indexes no arrays
        indexes.add_index(field, index_type="INVERTED")
    client.create_index(name, indexes, timeout=WRITE_TIMEOUT, sync=False)  # still empty
    client.load_collection(name, timeout=LOAD_TIMEOUT)


def fits(client: MilvusClient, name: str, dim: int, layout: int = LAYOUT) -> bool:
    """Whether an existing collection has the schema that `create` gives it, or that of an older
    layout.

    One with `said` in place of `weights` is older: its names were hashed as they were spelt.
    """
    described = client.describe_collection(name, timeout=TIMEOUT)["fields"]
    fields = {field["name"]: field for field in described}
    expected = {*FIELDS, KEY, *FILE_FIELDS} - missing(layout)
    if fields.keys() != expected or fields["vector"]["params"]["dim"] != dim:
        return False
    return {"vector", "weights"} <= set(client.list_indexes(name, timeout=TIMEOUT))


def missing(layout: int) -> set[str]:
    """The fields that collections of a layout lack."""
    if layout == LAYOUT:
        return set()
    return {*FILE_FIELDS, KEY} if layout == 1 else set(FILE_FIELDS)


def clip_of(keys: Rows) -> Rows:
    """The clips' numbers of rows of the collection."""
    return keys >> WINDOW_BITS


def state(generation: int, dim: int) -> dict[str, Any]:
    """The row of the generation."""
    return {
        KEY: STATE_ROW,
        "row": STATE_ROW,
        "vector": np.eye(1, dim, dtype=np.float32)[0],
        "weights": NO_WORDS,
        "duration": 0.0,
        "generation": generation,
        **dict.fromkeys(FILE_FIELDS, 0),
        **dict.fromkeys(NUMBERS, 0),
        **dict.fromkeys(LISTS, ()),
    }


def clip_row(changes: Changes, number: int) -> dict[str, Any]:
    """The row of the clip at position `number` of the changes, with its own vector."""
    row = int(changes.rows[number])
    start = int(changes.ends[number - 1]) if number else 0
    return {
        KEY: row << WINDOW_BITS,
        "row": row,
        "vector": np.asarray(changes.vectors[start], dtype=np.float32),
        "duration": float(np.float32(changes.durations[number])),
        "loudness": level(float(changes.loudness[number])),
        "added": int(changes.added[number]),
        "sample_rate": changes.sample_rates[number],
        "channels": changes.channels[number],
        "category": name_number(changes.categories[number]),
        "generation": changes.generation,
        "licence": name_number(changes.licences[number]),
        "source": name_number(changes.sources[number]),
        "tags": _list(row, "tags", tag_numbers(changes.tags[number])),
        **_words(
            row, f"{changes.titles[number]} {changes.tags[number]}", changes.descriptions[number]
        ),
    }


def window_rows(changes: Changes, number: int, clip: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the windows of that clip, whose own row is `clip`."""
    start, end = int(changes.ends[number - 1]) if number else 0, int(changes.ends[number])
    for window, position in enumerate(range(start + 1, end), start=1):
        vector = np.asarray(changes.vectors[position], dtype=np.float32)
        # Words are matched by the clip's own row; windows are ordered among those that hold them.
        yield {**clip, KEY: clip[KEY] + window, "vector": vector, "weights": NO_WORDS}


def _words(row: int, title: str, description: str) -> dict[str, Any]:
    words, described = clip_terms(title, description)
    for name, terms in (("words", words), ("described words", described)):
        if len(terms) > MAX_ARRAY:
            log.warning("clip %d has %d %s: found by %d only", row, len(terms), name, MAX_ARRAY)
    # Milvus finds no names by how they begin: beginnings are terms of their own, with room left.
    own = dict.fromkeys(beginnings(words))
    others = [term for term in beginnings(described) if term not in own]
    words, described = [*words, *own][:MAX_ARRAY], [*described, *others][:MAX_ARRAY]
    weights = dict.fromkeys(map(dimension, described), DESCRIPTION_WEIGHT)
    weights |= dict.fromkeys(map(dimension, words), 1.0)
    return {
        "words": list(map(number, words)),
        "described": list(map(number, described)),
        "weights": weights or NO_WORDS,
    }


def _list(row: int, name: str, numbers: list[int]) -> list[int]:
    if len(numbers) > MAX_ARRAY:
        log.warning("clip %d has %d %s: found by %d only", row, len(numbers), name, MAX_ARRAY)
    return numbers[:MAX_ARRAY]
