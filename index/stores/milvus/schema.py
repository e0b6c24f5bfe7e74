"""The schema of a library's collection in Milvus: fields, indexes, rows.

Conventions: licences, sources, tags and words are hashes (`index.stores.milvus.filters`); `words`
are the stems of title and tags, `described` those that only the description holds, `weights` both
as a sparse vector of their weights. The partition `clips` holds one row for each clip, `state` a
single row: its `generation` is the catalogue's generation that the clips are of.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.stemming import stems
from earmark.index.stores.columns import DESCRIPTION_WEIGHT
from earmark.index.stores.milvus.client import TIMEOUT, import_pymilvus
from earmark.index.stores.milvus.filters import dimension, name_number, number, tag_numbers

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 60  # seconds
LOAD_TIMEOUT = 600  # seconds until a cluster has loaded a large collection
CLIPS, STATE = "clips", "state"
STATE_ROW = -1
# Consistency of searches: they see what this process wrote, and all that was written when it last
# read the generation. Only that read waits until Milvus has reached the moment: some 200 ms.
CONSISTENCY = "Session"
MAX_ARRAY = 4_096  # numbers in an array of Milvus
NUMBERS = ("licence", "source")
LISTS = ("tags", "words", "described")
FIELDS = {"row", "vector", "weights", "duration", "generation", *NUMBERS, *LISTS}
NO_WORDS = {0: 1.0}  # the sparse vector of no words: Milvus needs one dimension at least


def create(client: MilvusClient, uri: str, name: str, dim: int, lite: bool) -> None:
    """Create an empty collection, replace any of that name, and load it for searches."""
    kinds = import_pymilvus(uri).DataType
    client.drop_collection(name, timeout=WRITE_TIMEOUT)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", kinds.INT64, is_primary=True)
    schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dim)
    schema.add_field("weights", kinds.SPARSE_FLOAT_VECTOR)
    schema.add_field("duration", kinds.FLOAT)
    schema.add_field("generation", kinds.INT64)  # of the write that added the row
    for field in NUMBERS:
        schema.add_field(field, kinds.INT64)
    for field in LISTS:
        schema.add_field(field, kinds.ARRAY, element_type=kinds.INT64, max_capacity=MAX_ARRAY)
    # Strong: who reads the generation sees all earlier writes; see CONSISTENCY.
    client.create_collection(name, schema=schema, consistency_level="Strong", timeout=WRITE_TIMEOUT)
    for partition in (CLIPS, STATE):
        client.create_partition(name, partition, timeout=WRITE_TIMEOUT)
    indexes = client.prepare_index_params()
    kind = "FLAT" if lite else "AUTOINDEX"
    indexes.add_index("vector", index_type=kind, metric_type="IP")
    indexes.add_index("weights", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    for field in ("duration", *NUMBERS, *(() if lite else LISTS)):  # lite indexes no arrays
        indexes.add_index(field, index_type="INVERTED")
    client.create_index(name, indexes, timeout=WRITE_TIMEOUT, sync=False)  # still empty
    client.load_collection(name, timeout=LOAD_TIMEOUT)


def fits(client: MilvusClient, name: str, dim: int) -> bool:
    """Whether an existing collection has the schema that `create` gives it.

    One with `said` in place of `weights` is older: its names were hashed as they were spelt.
    """
    described = client.describe_collection(name, timeout=TIMEOUT)["fields"]
    fields = {field["name"]: field for field in described}
    if fields.keys() != FIELDS or fields["vector"]["params"]["dim"] != dim:
        return False
    return {"vector", "weights"} <= set(client.list_indexes(name, timeout=TIMEOUT))


def state(generation: int, dim: int) -> dict[str, Any]:
    """The row of the generation."""
    return {
        "row": STATE_ROW,
        "vector": np.eye(1, dim, dtype=np.float32)[0],
        "weights": NO_WORDS,
        "duration": 0.0,
        "generation": generation,
        **dict.fromkeys(NUMBERS, 0),
        **dict.fromkeys(LISTS, ()),
    }


def rows(changes: Changes, part: slice) -> list[dict[str, Any]]:
    """The rows of a part of the clips."""
    return [
        {
            "row": row,
            "vector": vector,
            "duration": float(np.float32(duration)),
            "generation": changes.generation,
            "licence": name_number(licence),
            "source": name_number(source),
            "tags": _list(row, "tags", tag_numbers(tags)),
            **_words(row, f"{title} {tags}", description),
        }
        for row, vector, duration, licence, source, tags, title, description in zip(
            changes.rows[part].tolist(),
            np.asarray(changes.vectors[part], dtype=np.float32),
            changes.durations[part].tolist(),
            changes.licences[part],
            changes.sources[part],
            changes.tags[part],
            changes.titles[part],
            changes.descriptions[part],
            strict=True,
        )
    ]


def _words(row: int, title: str, description: str) -> dict[str, Any]:
    words = stems(title)
    described = [stem for stem in stems(description) if stem not in words]
    weights = dict.fromkeys(map(dimension, described), DESCRIPTION_WEIGHT)
    weights |= dict.fromkeys(map(dimension, words), 1.0)
    return {
        "words": _list(row, "words", [number(stem) for stem in words]),
        "described": _list(row, "described words", [number(stem) for stem in described]),
        "weights": weights or NO_WORDS,
    }


def _list(row: int, name: str, numbers: list[int]) -> list[int]:
    if len(numbers) > MAX_ARRAY:
        log.warning("clip %d has %d %s: found by %d only", row, len(numbers), name, MAX_ARRAY)
    return numbers[:MAX_ARRAY]
