"""The vector store past one machine: a collection of a Milvus cluster, shared by many servers.

Conventions: one collection a library, of two partitions: the clips, and one row that tells the
catalogue's generation that they are of. That row is written last, so a write that was cut short is
taken for not made and repeated. Milvus keeps itself: there is no snapshot.

For one's own machine and for tests, milvus-lite keeps the same in a file, in one process.
"""

from __future__ import annotations

import logging
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import LibraryError
from index.filters import Filter
from index.milvus_client import TIMEOUT, connect, package, told
from index.milvus_filters import MOST_TAGS, expression, number, tag_numbers
from index.records import Array, Changes, Rows

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 60.0  # seconds
LOAD_TIMEOUT = 600.0  # until a cluster has a large collection in memory
BATCH = 1_000  # rows that are written at once
BATCH_BYTES = 16_000_000  # of vectors; Milvus takes 64 MB a message
MOST = 16_384  # that Milvus finds at once
CLIPS, STATE = "clips", "state"  # partitions
STATE_ROW = -1
FIELDS = {"row", "vector", "duration", "licence", "source", "tags", "generation"}
INDEXED = ("duration", "licence", "source")


class MilvusStore:
    """Inner-product search by clip number, with filters, in Milvus. Implements VectorStore.

    Searches see writes as they come, batch by batch: while `apply` runs, they may find a part of
    the new clips, and removed ones still; never half a clip. Several processes may share a library;
    they should not build its collection for the first time at the same moment.
    A new store is empty until it has loaded what is there; the first `apply` to it starts anew.

    `uri`: a cluster's, "http://host:19530", or a file's for milvus-lite, ending in ".db".
    `token`: "user:password" or a key. Raises LibraryError where pymilvus is missing, for a URI
    that is none and a token that is refused, StorageError where no Milvus answers; so do all
    methods that speak with it.
    """

    def __init__(self, library: str, dim: int, uri: str, token: str = "") -> None:
        self._dim, self._uri = dim, uri
        self._name = f"earmark_{blake2b(library.encode(), digest_size=16).hexdigest()}"
        self._generation = 0
        self._writing = threading.Lock()
        self._client = connect(uri, token)
        with told(uri):
            self._version = str(self._client.get_server_version(timeout=TIMEOUT))
        self._lite = "lite" in self._version

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._generation

    def __len__(self) -> int:
        if not self._generation:
            return 0
        with told(self._uri):
            counted = self._client.query(
                self._name, filter="", output_fields=["count(*)"], timeout=TIMEOUT
            )
        return int(counted[0]["count(*)"]) - 1  # one row is the state's

    def kind(self) -> str:
        """The kind of index, for people."""
        index = "flat, exact, float32" if self._lite else "its automatic index"
        return f"Milvus {self._version} at {self._uri}: {index}"

    def nbytes(self) -> int:
        """Nothing: Milvus holds vectors and columns, not this process."""
        return 0

    # Writing

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`, in batches, the generation last.

        Where another process has done so already, only its generation is taken over; where the
        collection has gone or is older than this store knew, that, and the caller asks again.
        """
        with self._writing, told(self._uri):
            if changes.generation <= self._generation:
                return
            if len(changes.rows):
                self._check_dim("vectors", changes.vectors, (len(changes.rows), self._dim))
            if not self._generation:
                self._create()
            else:
                known, self._generation = self._generation, self._held_generation()
                if self._generation < known:
                    log.warning("%s: its collection was at %d, is at %d: taking up from there",
                                self._uri, known, self._generation)  # fmt: skip
                    return
                if changes.generation <= self._generation:
                    return
            self._write(changes)
            self._generation = changes.generation

    def _write(self, changes: Changes) -> None:
        batch = max(1, min(BATCH, BATCH_BYTES // (4 * self._dim)))
        for start in range(0, len(changes.rows), batch):
            rows = _rows(changes, slice(start, start + batch))
            self._client.upsert(self._name, rows, partition_name=CLIPS, timeout=WRITE_TIMEOUT)
        removed = np.setdiff1d(changes.removed, changes.rows).tolist()
        for start in range(0, len(removed), BATCH):
            ids = removed[start : start + BATCH]
            self._client.delete(self._name, ids=ids, partition_name=CLIPS, timeout=WRITE_TIMEOUT)
        state = {
            "row": STATE_ROW,
            "vector": np.eye(1, self._dim, dtype=np.float32)[0],
            "duration": 0.0,
            "licence": 0,
            "source": 0,
            "tags": [],
            "generation": changes.generation,
        }
        self._client.upsert(self._name, [state], partition_name=STATE, timeout=WRITE_TIMEOUT)

    def _create(self) -> None:
        """An empty collection in place of any that is there."""
        kinds = package(self._uri).DataType
        client, name = self._client, self._name
        client.drop_collection(name, timeout=WRITE_TIMEOUT)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("row", kinds.INT64, is_primary=True)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=self._dim)
        schema.add_field("duration", kinds.FLOAT)
        schema.add_field("licence", kinds.INT64)
        schema.add_field("source", kinds.INT64)
        schema.add_field("tags", kinds.ARRAY, element_type=kinds.INT64, max_capacity=MOST_TAGS)
        schema.add_field("generation", kinds.INT64)  # of the write that a row came with
        # Strong: a search sees all that was written before it.
        client.create_collection(
            name, schema=schema, consistency_level="Strong", timeout=WRITE_TIMEOUT
        )
        for partition in (CLIPS, STATE):
            client.create_partition(name, partition, timeout=WRITE_TIMEOUT)
        indexes = client.prepare_index_params()
        kind = "FLAT" if self._lite else "AUTOINDEX"
        indexes.add_index("vector", index_type=kind, metric_type="IP")
        for field in (*INDEXED, *(() if self._lite else ("tags",))):  # lite indexes no arrays
            indexes.add_index(field, index_type="INVERTED")
        client.create_index(name, indexes, timeout=WRITE_TIMEOUT)
        client.load_collection(name, timeout=LOAD_TIMEOUT)

    def settle(self) -> None:
        """Nothing to wait for: what was written is found, and Milvus merges by itself."""

    def close(self) -> None:
        """Hang up. milvus-lite keeps its file open until the process ends."""
        with self._writing:
            self._client.close()

    def drop(self) -> None:
        """Remove the library's collection; the store is empty then."""
        with self._writing, told(self._uri):
            self._client.drop_collection(self._name, timeout=WRITE_TIMEOUT)
            self._generation = 0

    # Reading

    def search(
        self,
        vector: Array,
        k: int,
        where: Filter | None = None,
        *,
        least: float = -1.0,
        offset: int = 0,
    ) -> tuple[Rows, Array]:
        """See VectorStore. As exact as Milvus' index.

        Raises LibraryError where `offset` + `k` reaches past the 16,384 best and more would pass.
        """
        self._check_dim("vector", vector, (self._dim,))
        wanted, passing = offset + k, expression(where)
        if k <= 0 or passing is None or not self._generation:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        asked = min(wanted + 1, MOST)
        while True:
            rows, scores = self._nearest(vector, asked, passing)
            # Of equal scores at the end, Milvus gives any: ask on until all of them are there.
            if len(rows) < asked or asked == MOST or scores[-1] < scores[wanted - 1]:
                break
            asked = min(2 * asked, MOST)
        if wanted > MOST == len(rows) and scores[-1] >= least:
            self._refuse_depth(wanted, where)
        best = np.lexsort((rows, -scores))[offset:wanted]
        best = best[scores[best] >= least]
        return rows[best], scores[best]

    def _nearest(self, vector: Array, count: int, passing: str) -> tuple[Rows, Array]:
        """Rows and scores of the nearest that pass, best first; fewer if few."""
        with told(self._uri):
            (hits,) = self._client.search(
                self._name,
                [np.asarray(vector, dtype=np.float32)],
                limit=count,
                filter=passing,
                output_fields=["row"],
                partition_names=[CLIPS],
                anns_field="vector",
                search_params={"metric_type": "IP"},
                timeout=TIMEOUT,
            )
        return np.array(hits.ids, dtype=np.int64), np.array(hits.distances, dtype=np.float32)

    def _refuse_depth(self, wanted: int, where: Filter | None) -> None:
        there = len(self.passing(where or Filter()))
        if there > MOST:
            raise LibraryError(
                f"offset and k: expected at most {MOST:,} together, the most that Milvus finds "
                f"at once, got {wanted:,}, and {there:,} clips pass"
            )

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter, ascending."""
        passing = expression(where)
        found: list[Rows] = [np.zeros(0, dtype=np.int64)]
        if passing is None or not self._generation:
            return found[0]
        with told(self._uri):
            pages = self._client.query_iterator(
                self._name,
                batch_size=MOST,
                filter=passing,
                output_fields=["row"],
                partition_names=[CLIPS],
                timeout=TIMEOUT,
            )
            while page := pages.next():
                found.append(np.array([each["row"] for each in page], dtype=np.int64))
            pages.close()
        return np.concatenate(found)

    # What is there already

    def save(self, file: Path) -> None:
        """Nothing to do: Milvus keeps itself."""

    def load(self, file: Path) -> bool:  # noqa: ARG002 - the protocol's
        """Take over the collection of this very library; False where there is none to trust."""
        with self._writing, told(self._uri):
            self._generation = self._held_generation() if self._take_over() else 0
            return self._generation > 0

    def _take_over(self) -> bool:
        """Make the collection ready to be searched; False where it is not one as we make them."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return False
        told_fields = client.describe_collection(name, timeout=TIMEOUT)["fields"]
        fields = {each["name"]: each for each in told_fields}
        dim = fields["vector"]["params"]["dim"] if fields.keys() == FIELDS else 0
        if dim != self._dim or "vector" not in client.list_indexes(name):
            log.warning("%s: collection %s does not fit: building anew", self._uri, name)
            return False
        client.load_collection(name, timeout=LOAD_TIMEOUT)
        return True

    def _held_generation(self) -> int:
        """The generation that the collection says it is of; 0 where it says none, or has gone."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return 0
        state = client.query(
            name,
            filter=f"row == {STATE_ROW}",
            output_fields=["generation"],
            partition_names=[STATE],
            timeout=TIMEOUT,
        )
        return int(state[0]["generation"]) if state else 0

    def _check_dim(self, name: str, values: Array, expected: tuple[int, ...]) -> None:
        if values.shape != expected:
            raise LibraryError(
                f"{name}: expected the shape {expected} of the collection at {self._uri}, "
                f"got {values.shape}"
            )


def _rows(changes: Changes, part: slice) -> list[dict[str, Any]]:
    """Rows of the collection for a part of the clips."""
    return [
        {
            "row": row,
            "vector": vector,
            "duration": float(np.float32(duration)),
            "licence": number(licence),
            "source": number(source),
            "tags": _tags(row, tags),
            "generation": changes.generation,
        }
        for row, vector, duration, licence, source, tags in zip(
            changes.rows[part].tolist(),
            np.asarray(changes.vectors[part], dtype=np.float32),
            changes.durations[part].tolist(),
            changes.licences[part],
            changes.sources[part],
            changes.tags[part],
            strict=True,
        )
    ]


def _tags(row: int, tags: str) -> list[int]:
    numbers = tag_numbers(tags)
    if len(numbers) > MOST_TAGS:
        log.warning("clip %d has %d tags: filters see its first %d", row, len(numbers), MOST_TAGS)
    return numbers[:MOST_TAGS]
