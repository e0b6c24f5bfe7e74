"""The vector store past one machine: a collection of a Milvus cluster, shared by many servers.

Conventions: one collection a library, of two partitions: the clips, and one row that tells the
catalogue's generation that they are of. That row is written last, so a write that was cut short is
taken for not made and repeated. Milvus keeps itself: there is no snapshot.

For one's own machine and for tests, milvus-lite keeps the same in a file, in one process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.errors import LibraryError
from earmark.index.lexical.expansion import Others
from earmark.index.stores.base import (
    NO_OTHERS,
    Candidates,
    Wanted,
    one_by_one,
    ranked,
    word_weights,
)
from earmark.index.stores.milvus import rerank, schema
from earmark.index.stores.milvus.client import TIMEOUT, check_version, connect, told
from earmark.index.stores.milvus.filters import SHARES, expression, holders, holding, place
from earmark.index.stores.milvus.schema import (
    CLIPS,
    LOAD_TIMEOUT,
    SEEN,
    STATE,
    STATE_ROW,
    WRITE_TIMEOUT,
    create,
    fits,
)
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

AT_ONCE = 20_000  # clips between two generations of a library that is taken in
BATCH = 500  # rows that are written in one message
BATCH_BYTES = 8_000_000  # of vectors; Milvus takes 64 MB a message, with all that belongs to them
MOST = 16_384  # that Milvus finds at once
COUNTS = 65_536  # words whose holders are remembered
FEW_WORDS = 5  # whose every combination is asked for


class MilvusStore:
    """Inner-product search by clip number, with filters, in Milvus. Implements VectorStore.

    Searches see writes as they come, batch by batch: while `apply` runs, they may find a part of
    the new clips, and removed ones still; never half a clip. Several processes may share a library;
    they should not build its collection for the first time at the same moment.
    A new store is empty until it has loaded what is there; the first `apply` to it starts anew.

    `uri`: a cluster's, "http://host:19530", or a file's for milvus-lite, ending in ".db".
    `token`: "user:password" or a key. Raises LibraryError where pymilvus is missing, for a URI
    that is none, a token that is refused and a Milvus that is too old, StorageError where no Milvus
    answers; so do all methods that speak with it.
    """

    def __init__(self, library: str, dim: int, uri: str, token: str = "") -> None:
        self._dim, self._uri = dim, uri
        self._name = f"earmark_{blake2b(library.encode(), digest_size=16).hexdigest()}"
        self._generation = 0
        # By generation and word: a word that nobody holds takes a query for each related one.
        self._holders = lru_cache(COUNTS)(lambda _, word: self._count(holders(word)))
        self._writing = threading.Lock()
        self._client = connect(uri, token)
        with told(uri):
            self._version = str(self._client.get_server_version(timeout=TIMEOUT))
        check_version(uri, self._version)
        self._lite = "lite" in self._version

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._generation

    @property
    def most_at_once(self) -> int:
        """After so many clips Milvus is told how far `apply` has come: killed, it goes on there."""
        return AT_ONCE

    def __len__(self) -> int:
        if not self._generation:
            return 0
        return self._count("") - 1  # one row is the state's

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
                create(self._client, self._uri, self._name, self._dim, self._lite)
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
            rows = schema.rows(changes, slice(start, start + batch))
            self._client.upsert(self._name, rows, partition_name=CLIPS, timeout=WRITE_TIMEOUT)
        removed = np.setdiff1d(changes.removed, changes.rows).tolist()
        for start in range(0, len(removed), BATCH):
            ids = removed[start : start + BATCH]
            self._client.delete(self._name, ids=ids, partition_name=CLIPS, timeout=WRITE_TIMEOUT)
        state = schema.state(changes.generation, self._dim)
        self._client.upsert(self._name, [state], partition_name=STATE, timeout=WRITE_TIMEOUT)

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
        """See VectorStore. As exact as Milvus' index, and exact where few pass.

        Raises LibraryError where `offset` + `k` reaches past the 16,384 best and more would pass.
        """
        self._check_dim("vector", vector, (self._dim,))
        wanted, passing = offset + k, expression(where)
        if k <= 0 or passing is None or not self._generation:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        rows, scores = ranked(lambda count: self._nearest(vector, count, passing), wanted, MOST)
        if wanted > MOST == len(rows) and scores[-1] >= least:
            self._refuse_depth(wanted, where)
        rows, scores = rows[offset:wanted], scores[offset:wanted]
        return rows[scores >= least], scores[scores >= least]

    def _nearest(self, vector: Array, count: int, passing: str) -> tuple[Rows, Array]:
        """Rows and scores of the nearest that pass, best first; fewer if few."""
        vector = np.asarray(vector, dtype=np.float32)
        rows, scores = self._found("vector", vector, count, passing)
        there = len(rows) if len(rows) >= count else self._count(passing, CLIPS)
        if len(rows) < there <= rerank.MOST:
            with told(self._uri):
                return rerank.compared(self._client, self._name, vector, count, passing)
        return rows, scores

    def _found(
        self, field: str, query: Array | dict[int, float], count: int, passing: str
    ) -> tuple[Rows, Array]:
        with told(self._uri):
            (hits,) = self._client.search(
                self._name,
                [query],
                limit=count,
                filter=passing,
                output_fields=["row"],
                partition_names=[CLIPS],
                anns_field=field,
                search_params={"metric_type": "IP"},
                consistency_level=SEEN,
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

    def candidates(self, wanted: Sequence[Wanted], most: int) -> list[Candidates]:
        """See VectorStore."""
        return one_by_one(self, wanted, most)

    def weights(self, words: Sequence[str], related: Others = NO_OTHERS) -> dict[str, float]:
        """See VectorStore."""
        if not self._generation:
            return {}
        counted = partial(self._holders, self._generation)
        return word_weights(words, related, counted, self.__len__)

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """See VectorStore. Of at most the 16,384 best.

        Of more than 16,384 clips that share the last place, for more than five words, any are put
        in order.
        """
        if vector is not None:
            self._check_dim("vector", vector, (self._dim,))
        k, passing = min(k, MOST), expression(where)
        weights = words if isinstance(words, Mapping) else self.weights(words)
        if k <= 0 or passing is None or not weights:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        few = len(weights) <= FEW_WORDS
        query = {place(word): weight for word, weight in weights.items()}
        rows, scores = self._found("said", query, k if few else MOST, passing)
        shares = np.rint(SHARES * scores).astype(np.int64)
        if not len(rows):
            return rows, scores
        last = int(shares[:k][-1])
        above = dict(zip(rows[shares > last].tolist(), shares[shares > last].tolist(), strict=True))
        first = self._in_order(f"row in {list(above)}", len(above), vector)
        alike = holding(weights, last) if few else f"row in {rows[shares == last].tolist()}"
        rest = self._in_order(
            f"{alike} and {passing}" if passing else alike, k - len(above), vector
        )
        own = np.array([above[row] for row in first.tolist()] + len(rest) * [last])
        best = np.argsort(-own, kind="stable")
        found = np.minimum(own[best] / SHARES, 1)
        return np.concatenate([first, rest])[best], found.astype(np.float32)

    def _in_order(self, passing: str, count: int, vector: Array | None) -> Rows:
        """Up to `count` of those that pass, nearest to the vector first; without one, by row."""
        if not count:
            return np.zeros(0, dtype=np.int64)
        if vector is None:
            return self._all(passing, count)
        return ranked(lambda more: self._nearest(vector, more, passing), count, MOST)[0][:count]

    def _count(self, passing: str, partition: str | None = None) -> int:
        with told(self._uri):
            counted = self._client.query(
                self._name,
                filter=passing,
                output_fields=["count(*)"],
                partition_names=[partition] if partition else None,
                consistency_level=SEEN,
                timeout=TIMEOUT,
            )
        return int(counted[0]["count(*)"])

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter, ascending."""
        passing = expression(where)
        if passing is None or not self._generation:
            return np.zeros(0, dtype=np.int64)
        return self._all(passing)

    def _all(self, passing: str, most: int = -1) -> Rows:
        """The rows that pass, ascending, the first `most` of them."""
        found: list[Rows] = [np.zeros(0, dtype=np.int64)]
        with told(self._uri):
            pages = self._client.query_iterator(
                self._name,
                batch_size=MOST if most < 0 else min(most, MOST),
                limit=most,
                filter=passing,
                output_fields=["row"],
                partition_names=[CLIPS],
                consistency_level=SEEN,
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
            self._generation = self._held_generation() if self._is_ours() else 0
            return self._generation > 0

    def _is_ours(self) -> bool:
        """Whether the collection is there, and one as we make them."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return False
        if not fits(client, name, self._dim):
            log.warning("%s: collection %s does not fit: building anew", self._uri, name)
            return False
        return True

    def _held_generation(self) -> int:
        """The generation that the collection says it is of; 0 where it says none, or has gone."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return 0
        client.load_collection(name, timeout=LOAD_TIMEOUT)  # else not, after a start of milvus-lite
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
