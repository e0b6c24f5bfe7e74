"""The vector store past one machine: a collection of a Milvus cluster, shared by many servers.

Conventions: each library has a collection (`index.stores.milvus.schema`). The row with the
catalogue's generation is written last, so an interrupted write counts as not made and is repeated.
Milvus persists by itself: there is no snapshot.

On a single machine and in tests, milvus-lite stores the same in a file, for one process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.errors import LibraryError
from earmark.index.lexical.expansion import RelatedByStem
from earmark.index.lexical.term_weights import word_weights
from earmark.index.lexical.terms import is_gram
from earmark.index.stores.base import NO_RELATED, candidates_one_by_one, order_ties
from earmark.index.stores.milvus import rerank, schema
from earmark.index.stores.milvus.client import TIMEOUT, check_version, connect, translate_errors
from earmark.index.stores.milvus.filters import (
    SHARE_UNITS,
    dimension,
    expression,
    has_share,
    holds,
)
from earmark.index.stores.milvus.schema import (
    CLIPS,
    CONSISTENCY,
    LAYOUT,
    LOAD_TIMEOUT,
    STATE,
    STATE_ROW,
    WINDOWS,
    WRITE_TIMEOUT,
    clip_of,
    create,
    fits,
    missing,
)
from earmark.index.types import Candidates, Filter, SearchRequest
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

MAX_CHANGES = 20_000  # vectors of one `apply`; then the generation is written
BATCH = 500  # rows of one message
BATCH_BYTES = 8_000_000  # of a message's vectors; Milvus takes 64 MB with all other fields
MAX_RESULTS = 16_384  # of one search in Milvus
CACHED_FREQUENCIES = 65_536  # words
FEW_WORDS = 5  # every combination of them is queried
SOME_TIES = 4  # times the clips that are asked for: as many are read first where words are more


class MilvusStore:
    """Inner-product search by clip number, with filters, in Milvus. Implements VectorStore.

    Searches see writes batch by batch: while `apply` runs, they may find a part of the new clips,
    clips without their windows, and still removed ones. Several processes may share a library; they
    should not create its collection at the same moment. A new store is empty until it has loaded
    the existing collection; else its first `apply` replaces that.

    `uri`: a cluster's, "http://host:19530", or a file's for milvus-lite, ending in ".db".
    `token`: "user:password" or a key. Raises LibraryError where pymilvus is missing, for an invalid
    URI, a refused token, and a Milvus that is too old; StorageError where no Milvus answers. So do
    all methods that use the connection.
    """

    forkable = False  # it has a connection
    shared = True
    takes_edits = False  # a row is written as a whole
    max_changes = MAX_CHANGES  # an interrupted `apply` repeats no more than these

    def __init__(self, library: str, dim: int, uri: str, token: str = "") -> None:
        self._dim, self._uri = dim, uri
        name = f"earmark_{blake2b(library.encode(), digest_size=16).hexdigest()}"
        self._names = {1: name, 2: f"{name}_2", 3: f"{name}_3"}  # of each layout
        self._use(LAYOUT)
        self._generation = 0
        # By generation and words: one that no clip holds takes a query for each related word.
        self._document_frequency = lru_cache(CACHED_FREQUENCIES)(
            lambda _, *words: self._count(holds(*words), CLIPS)
        )
        self._writing = threading.Lock()
        self._client = connect(uri, token)
        with translate_errors(uri):
            self._version = str(self._client.get_server_version(timeout=TIMEOUT))
        check_version(uri, self._version)
        self._lite = "lite" in self._version

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._generation

    def __len__(self) -> int:
        if not self._generation:
            return 0
        return self._count("", CLIPS)

    def label(self) -> str:
        """The kind of index, for people, without the address."""
        return f"Milvus {self._version}"

    def description(self) -> str:
        """The kind of index, for people, with the address."""
        index = "flat, exact, float32" if self._lite else "its automatic index"
        return f"{self.label()} at {self._uri}: {index}"

    def nbytes(self) -> int:
        """0: Milvus holds vectors and columns, not this process."""
        return 0

    def columns(self, *filters: Filter) -> None:
        """None: Milvus holds the columns."""

    # Writing

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`, in batches, the generation last.

        Writes nothing where another process has done so already, and nothing where the collection
        has gone or is older than this store knew: then `generation` falls to the collection's, and
        the caller has to call again.
        """
        with self._writing, translate_errors(self._uri):
            if changes.generation <= self._generation:
                return
            if len(changes.rows):
                self._check_dim("vectors", changes.vectors, (int(changes.ends[-1]), self._dim))
            if not self._generation:
                self._use(LAYOUT)  # an old one may have been dropped
                create(self._client, self._uri, self._name, self._dim, self._lite)
            else:
                known, self._generation = self._generation, self._stored_generation()
                if self._generation < known:
                    log.warning("%s: its collection was at %d, is at %d: taking up from there",
                                self._uri, known, self._generation)  # fmt: skip
                    return
                if changes.generation <= self._generation:
                    return
            self._write(changes, is_new=not self._generation)
            self._generation = changes.generation

    def _write(self, changes: Changes, *, is_new: bool) -> None:
        """`is_new`: the collection is empty."""
        removed = np.setdiff1d(changes.removed, changes.rows).tolist()
        if not is_new and self._has_windows:
            # First: windows of a clip that has changed would else stay beside its new ones.
            self._delete(WINDOWS, [*changes.rows.tolist(), *removed])
        size = max(1, min(BATCH, BATCH_BYTES // (4 * self._dim)))
        batches: dict[str, list[dict[str, Any]]] = {CLIPS: [], WINDOWS: []}
        for number in range(len(changes.rows)):
            clip = schema.clip_row(changes, number)
            batches[CLIPS].append(clip)
            windows = schema.window_rows(changes, number, clip) if self._has_windows else ()
            for window in windows:
                batches[WINDOWS].append(window)
                if len(batches[WINDOWS]) == size:
                    self._upsert(WINDOWS, batches[WINDOWS])
            if len(batches[CLIPS]) == size:
                self._upsert(CLIPS, batches[CLIPS])
        for partition, rows in batches.items():
            self._upsert(partition, rows)
        self._delete(CLIPS, removed)
        self._upsert(STATE, [schema.state(changes.generation, self._dim)])

    def _upsert(self, partition: str, rows: list[dict[str, Any]]) -> None:
        """Write rows, and empty the list."""
        for row in rows:
            for field in missing(self._layout):
                del row[field]
        if rows:
            self._client.upsert(self._name, rows, partition_name=partition, timeout=WRITE_TIMEOUT)
        rows.clear()

    def _delete(self, partition: str, clips: Sequence[int]) -> None:
        """Delete the rows of clips in a partition."""
        for start in range(0, len(clips), BATCH):
            self._client.delete(
                self._name,
                filter=f"row in {clips[start : start + BATCH]}",
                partition_name=partition,
                timeout=WRITE_TIMEOUT,
            )

    def wait_until_idle(self) -> None:
        """Nothing to wait for: searches see all writes, and Milvus merges by itself."""

    def close(self) -> None:
        """Close the connection. milvus-lite keeps its file open until the process ends."""
        with self._writing:
            self._client.close()

    def drop(self) -> None:
        """Remove the library's collection; the store is empty then, of generation 0."""
        with self._writing, translate_errors(self._uri):
            self._client.drop_collection(self._name, timeout=WRITE_TIMEOUT)
            self._generation = 0
            self._use(LAYOUT)

    # Reading

    def search(
        self,
        vector: Array,
        k: int,
        where: Filter | None = None,
        *,
        min_score: float = -1.0,
        offset: int = 0,
    ) -> tuple[Rows, Array]:
        """See VectorStore. As exact as Milvus' index, and exact where few clips pass.

        Raises LibraryError where `offset` + `k` is above 16,384 and more clips pass.
        """
        self._check_dim("vector", vector, (self._dim,))
        end, passing = offset + k, expression(where)
        if k <= 0 or passing is None or not self._generation:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        rows, scores = order_ties(
            lambda count: self._nearest(vector, count, passing), end, MAX_RESULTS
        )
        if end > MAX_RESULTS == len(rows) and scores[-1] >= min_score:
            self._check_depth(end, where)
        rows, scores = rows[offset:end], scores[offset:end]
        return rows[scores >= min_score], scores[scores >= min_score]

    def search_exact(self, vector: Array, k: int, where: Filter | None = None) -> None:
        """None: no vectors are in this process."""

    @property
    def _partitions(self) -> tuple[str, ...]:
        """Where vectors are."""
        return (CLIPS, WINDOWS) if self._has_windows else (CLIPS,)

    def window_scores(self, vector: Array, row: int) -> None:
        """None: no vectors are in this process."""

    def _nearest(self, vector: Array, count: int, passing: str) -> tuple[Rows, Array]:
        """The nearest clips that pass and their scores, best first; fewer if few."""
        vector = np.asarray(vector, dtype=np.float32)
        found, best = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        wanted = count
        while len(found) < count:
            # Clips of many near vectors make way for others.
            others = f"row not in {found.tolist()}" if len(found) else ""
            rows, scores = self._nearest_vectors(
                vector, min(wanted, MAX_RESULTS), " and ".join(filter(None, (passing, others)))
            )
            first = np.sort(np.unique(rows, return_index=True)[1])
            found = np.concatenate([found, rows[first]])
            best = np.concatenate([best, scores[first]])
            if len(rows) < min(wanted, MAX_RESULTS):
                break
            wanted *= 2
        return found[:count], best[:count]

    def _nearest_vectors(self, vector: Array, count: int, passing: str) -> tuple[Rows, Array]:
        """The clips of the nearest vectors that pass and their scores, best first; fewer if few.

        All of them where the index finds too few and no more than some thousands pass.
        """
        partitions = self._partitions
        keys, scores = self._search("vector", vector, count, passing, partitions)
        rows = self._clips(keys)
        total = len(rows) if len(rows) >= count else self._count(passing, *partitions)
        if len(rows) < total <= rerank.MAX_VECTORS:
            with translate_errors(self._uri):
                return rerank.search_exact(self._client, self._name, vector, passing, partitions)
        return rows, scores

    def _search(
        self,
        field: str,
        query: Array | dict[int, float],
        count: int,
        passing: str,
        partitions: Sequence[str] = (CLIPS,),
    ) -> tuple[Rows, Array]:
        """The keys of the nearest rows of the collection, and their scores, best first."""
        with translate_errors(self._uri):
            (hits,) = self._client.search(
                self._name,
                [query],
                limit=count,
                filter=passing,
                partition_names=list(partitions),
                anns_field=field,
                search_params={"metric_type": "IP"},
                consistency_level=CONSISTENCY,
                timeout=TIMEOUT,
            )
        return np.array(hits.ids, dtype=np.int64), np.array(hits.distances, dtype=np.float32)

    def _clips(self, keys: Rows) -> Rows:
        """The clips' numbers of rows of the collection."""
        return clip_of(keys) if self._has_windows else keys

    def _check_depth(self, end: int, where: Filter | None) -> None:
        total = len(self.passing(where or Filter()))
        if total > MAX_RESULTS:
            raise LibraryError(
                f"offset and k: expected at most {MAX_RESULTS:,} together, the most that Milvus "
                f"finds at once, got {end:,}, and {total:,} clips pass"
            )

    def candidates(self, requests: Sequence[SearchRequest], limit: int) -> list[Candidates]:
        """See VectorStore."""
        return candidates_one_by_one(self, self._matching, requests, limit)

    def weights(
        self, words: Sequence[str], related: RelatedByStem = NO_RELATED
    ) -> dict[str, float]:
        """See VectorStore. The parts of runs are counted together: one weighs as another."""
        if not self._generation:
            return {}
        count = partial(self._document_frequency, self._generation)
        grams = tuple(filter(is_gram, words))

        def document_frequency(word: str) -> int:
            return -(-count(*grams) // len(grams)) if is_gram(word) else count(word)

        return word_weights(words, related, document_frequency, self.__len__)

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """See VectorStore. At most the 16,384 best.

        Where more than five words leave more than 16,384 clips tied for the last place, any of
        them are ordered.
        """
        weights = words if isinstance(words, Mapping) else self.weights(words)
        rows, shares, _ = self._matching(weights, k, where, vector)
        return rows, shares

    def _matching(
        self, weights: Mapping[str, float], k: int, where: Filter | None, vector: Array | None
    ) -> tuple[Rows, Array, Array]:
        """Rows and scores of `match`, and the clips' cosines, NaN where they are not known."""
        if vector is not None:
            self._check_dim("vector", vector, (self._dim,))
        k, passing = min(k, MAX_RESULTS), expression(where)
        if k <= 0 or passing is None or not weights:
            return np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)
        few = len(weights) <= FEW_WORDS
        query = {dimension(word): weight for word, weight in weights.items()}
        count = k if few else min(SOME_TIES * k, MAX_RESULTS)
        keys, scores = self._search("weights", query, count, passing)
        shares = np.rint(SHARE_UNITS * scores).astype(np.int64)
        if not few and len(keys) == count < MAX_RESULTS and shares[-1] == shares[k - 1]:
            keys, scores = self._search("weights", query, MAX_RESULTS, passing)
            shares = np.rint(SHARE_UNITS * scores).astype(np.int64)
        rows = self._clips(keys)
        if not len(rows):
            return rows, scores, scores
        last = int(shares[:k][-1])
        above = dict(zip(rows[shares > last].tolist(), shares[shares > last].tolist(), strict=True))
        first = self._ordered(f"row in {list(above)}", rows[shares > last], len(above), vector)
        some = rows[shares == last]
        tied = has_share(weights, last) if few else f"row in {some.tolist()}"
        rest = self._ordered(
            f"{tied} and {passing}" if passing else tied, some, k - len(above), vector
        )
        values = np.array([above[row] for row in first[0].tolist()] + len(rest[0]) * [last])
        best = np.argsort(-values, kind="stable")
        found = np.minimum(values[best] / SHARE_UNITS, 1)
        rows = np.concatenate([first[0], rest[0]])[best]
        cosines = np.concatenate([first[1], rest[1]])[best]
        return rows, found.astype(np.float32), cosines

    def _ordered(
        self, passing: str, known: Rows, count: int, vector: Array | None
    ) -> tuple[Rows, Array]:
        """Up to `count` clips that pass, nearest to the vector first, with their cosines; those of
        the `known` ones that the search has missed, and all without a vector, with NaN."""
        rows, cosines = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        if not count:
            return rows, cosines
        if vector is None:
            rows = self._rows(passing, count)
            return rows, np.full(len(rows), np.nan, np.float32)
        found, scores = order_ties(
            lambda more: self._nearest(vector, more, passing), count, MAX_RESULTS
        )
        rows, cosines = found[:count], scores[:count]
        missed = np.setdiff1d(known, rows)[: count - len(rows)]
        unknown = np.full(len(missed), np.nan, np.float32)
        return np.concatenate([rows, missed]), np.concatenate([cosines, unknown])

    def _count(self, passing: str, *partitions: str) -> int:
        with translate_errors(self._uri):
            result = self._client.query(
                self._name,
                # Without a filter milvus-lite counts all partitions.
                filter=passing or "row >= 0",
                output_fields=["count(*)"],
                partition_names=list(partitions),
                consistency_level=CONSISTENCY,
                timeout=TIMEOUT,
            )
        return int(result[0]["count(*)"])

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter, ascending."""
        passing = expression(where)
        if passing is None or not self._generation:
            return np.zeros(0, dtype=np.int64)
        return self._rows(passing)

    def _rows(self, passing: str, limit: int = -1) -> Rows:
        """The rows that pass, ascending, the first `limit` of them (-1: all)."""
        found: list[Rows] = [np.zeros(0, dtype=np.int64)]
        with translate_errors(self._uri):
            pages = self._client.query_iterator(
                self._name,
                batch_size=MAX_RESULTS if limit < 0 else min(limit, MAX_RESULTS),
                limit=limit,
                filter=passing,
                output_fields=["row"],
                partition_names=[CLIPS],
                consistency_level=CONSISTENCY,
                timeout=TIMEOUT,
            )
            while page := pages.next():
                found.append(np.array([clip["row"] for clip in page], dtype=np.int64))
            pages.close()
        return np.concatenate(found)

    # The existing collection

    def save(self, file: Path) -> None:
        """Nothing to do: Milvus persists by itself."""

    @property
    def outdated(self) -> bool:
        """See VectorStore."""
        return self._layout < LAYOUT

    @property
    def _has_windows(self) -> bool:
        """Whether windows are in the collection, and keys that name them."""
        return self._layout > 1

    def load(self, file: Path, *, outdated: bool = False) -> bool:  # noqa: ARG002 - the protocol's
        """Use the collection of this very library; False where there is none to trust."""
        with self._writing, translate_errors(self._uri):
            # An old one may be ahead: a new one was being built when its process ended.
            held, best, newest = self._layout, LAYOUT, 0
            try:
                for layout in range(LAYOUT, 0 if outdated else LAYOUT - 1, -1):
                    self._use(layout)
                    generation = self._stored_generation() if self._has_collection() else 0
                    if generation > newest:
                        best, newest = layout, generation
            except BaseException:
                self._use(held)
                raise
            self._use(best)
            self._generation = newest
            return newest > 0

    def _use(self, layout: int) -> None:
        """Search and write the collection of a layout."""
        self._name, self._layout = self._names[layout], layout

    def _has_collection(self) -> bool:
        """Whether the collection exists, with the schema of its layout."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return False
        if not fits(client, name, self._dim, self._layout):
            log.warning("%s: collection %s does not fit: building anew", self._uri, name)
            return False
        return True

    def _stored_generation(self) -> int:
        """The generation that the collection holds; 0 where it holds none, or is gone."""
        client, name = self._client, self._name
        if not client.has_collection(name, timeout=TIMEOUT):
            return 0
        client.load_collection(
            name, timeout=LOAD_TIMEOUT
        )  # milvus-lite does not by itself when it starts
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
