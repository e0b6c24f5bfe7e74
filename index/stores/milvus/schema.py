"""What a library's collection in Milvus looks like: its fields, its indexes, its rows.

Conventions: licences, sources, tags and words are numbers (`index.stores.milvus.filters`); `words`
are the stems of title and tags, `described` those that only the description holds, `said` both as a
sparse vector of what they weigh. The partition `clips` holds a row a clip, `state` one row in all:
its `generation` is the catalogue's generation that the clips are of.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.stemming import stems
from earmark.index.stores.columns import DESCRIBED
from earmark.index.stores.milvus.client import TIMEOUT, package
from earmark.index.stores.milvus.filters import number, place, tag_numbers

if TYPE_CHECKING:
    from pymilvus import MilvusClient

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 60  # seconds
LOAD_TIMEOUT = 600  # until a cluster has a large collection in memory
CLIPS, STATE = "clips", "state"
STATE_ROW = -1
# Of searches: they see what this process wrote, and what was there when it last asked for the
# generation, which alone waits until Milvus has come to that moment: some 200 ms.
SEEN = "Session"
ARRAY_MOST = 4_096  # numbers that Milvus takes in an array
NUMBERS = ("licence", "source")
LISTS = ("tags", "words", "described")
FIELDS = {"row", "vector", "said", "duration", "generation", *NUMBERS, *LISTS}
NOTHING = {0: 1.0}  # a sparse vector of no words: Milvus wants one place at least


def create(client: MilvusClient, uri: str, name: str, dim: int, lite: bool) -> None:
    """An empty collection in place of any of that name, ready to be searched."""
    kinds = package(uri).DataType
    client.drop_collection(name, timeout=WRITE_TIMEOUT)
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("row", kinds.INT64, is_primary=True)
    schema.add_field("vector", kinds.FLOAT_VECTOR, dim=dim)
    schema.add_field("said", kinds.SPARSE_FLOAT_VECTOR)
    schema.add_field("duration", kinds.FLOAT)
    schema.add_field("generation", kinds.INT64)  # of the write that a row came with
    for field in NUMBERS:
        schema.add_field(field, kinds.INT64)
    for field in LISTS:
        schema.add_field(field, kinds.ARRAY, element_type=kinds.INT64, max_capacity=ARRAY_MOST)
    # Strong: who asks for the generation sees all that was written before; see SEEN.
    client.create_collection(name, schema=schema, consistency_level="Strong", timeout=WRITE_TIMEOUT)
    for partition in (CLIPS, STATE):
        client.create_partition(name, partition, timeout=WRITE_TIMEOUT)
    indexes = client.prepare_index_params()
    kind = "FLAT" if lite else "AUTOINDEX"
    indexes.add_index("vector", index_type=kind, metric_type="IP")
    indexes.add_index("said", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    for field in ("duration", *NUMBERS, *(() if lite else LISTS)):  # lite indexes no arrays
        indexes.add_index(field, index_type="INVERTED")
    client.create_index(name, indexes, timeout=WRITE_TIMEOUT, sync=False)  # it is empty yet
    client.load_collection(name, timeout=LOAD_TIMEOUT)


def fits(client: MilvusClient, name: str, dim: int) -> bool:
    """Whether a collection that is there is one as `create` makes it."""
    told = client.describe_collection(name, timeout=TIMEOUT)["fields"]
    fields = {each["name"]: each for each in told}
    if fields.keys() != FIELDS or fields["vector"]["params"]["dim"] != dim:
        return False
    return {"vector", "said"} <= set(client.list_indexes(name, timeout=TIMEOUT))


def state(generation: int, dim: int) -> dict[str, Any]:
    """The row that tells the generation."""
    return {
        "row": STATE_ROW,
        "vector": np.eye(1, dim, dtype=np.float32)[0],
        "said": NOTHING,
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
            "licence": number(licence),
            "source": number(source),
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
    said = {place(stem): DESCRIBED for stem in described} | {place(stem): 1.0 for stem in words}
    return {
        "words": _list(row, "words", [number(stem) for stem in words]),
        "described": _list(row, "described words", [number(stem) for stem in described]),
        "said": said or NOTHING,
    }


def _list(row: int, name: str, numbers: list[int]) -> list[int]:
    if len(numbers) > ARRAY_MOST:
        log.warning("clip %d has %d %s: found by %d only", row, len(numbers), name, ARRAY_MOST)
    return numbers[:ARRAY_MOST]
