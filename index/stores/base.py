"""The vector store protocol: it finds the nearest vectors, follows the catalogue, saves itself.

Conventions: vectors are unit float32 [n, D], scores are inner products (cosines), rows are
the catalogue's clip numbers. A clip has its own vector and those of its windows, where it is longer
than one; what is found are clips, each by its nearest vector. A store is derived from the
catalogue: it can always be thrown away and built again from `Catalogue.changes(0)`.

Callers ask a store what it can do (`forkable`, `shared`, `columns`, `search_exact`), never which
class it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.expansion import RelatedByStem
from earmark.index.stores.columns import Columns, Mask
from earmark.index.types import Candidates, Filter, SearchRequest
from earmark.model.core.arrays import Array, Rows

NO_RELATED: RelatedByStem = MappingProxyType({})


StoreColumns = tuple[int, list[tuple[Columns, list[Mask | None]]]]


class VectorStore(Protocol):
    """A searchable copy of the catalogue's vectors, as of one generation."""

    @property
    def forkable(self) -> bool:
        """Whether a forked process may go on using the store, at rest when it was forked."""

    @property
    def shared(self) -> bool:
        """Whether several processes write to one copy; then they take turns at `apply`."""

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""

    @property
    def max_changes(self) -> int | None:
        """About how many vectors to give to `apply` at once; None for any number."""

    @property
    def takes_edits(self) -> bool:
        """Whether `apply` takes clips whose metadata alone has changed without their vectors."""

    @property
    def outdated(self) -> bool:
        """Whether it was loaded in the form of an older version: searched and written as any, but
        to be replaced by one that is built anew."""

    def __len__(self) -> int: ...

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`; searches see all or nothing."""

    def search(
        self,
        vector: Array,
        k: int,
        where: Filter | None = None,
        *,
        min_score: float = -1.0,
        offset: int = 0,
    ) -> tuple[Rows, Array]:
        """The k rows nearest to a vector [D] and their scores, best first; fewer if few.

        Only clips that pass the filter, with a score of at least `min_score`, after the `offset`
        best ones. Equal scores are ordered by row.
        """

    def search_exact(
        self, vector: Array, k: int, where: Filter | None = None
    ) -> tuple[Rows, Array] | None:
        """As `search`, compared with every vector; None where the store holds no vectors here."""

    def window_scores(self, vector: Array, row: int) -> Array | None:
        """The scores [W] of a clip's windows for a vector [D], in their order; None where they are
        sooner computed from the catalogue's windows."""

    def weights(
        self, words: Sequence[str], related: RelatedByStem = NO_RELATED
    ) -> dict[str, float]:
        """Weights of words (stems) and of the related words that stand for them.

        See `index.lexical.term_weights.word_weights`.
        """

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """The k clips that hold most of the words (stems, or stems with weights), best first.

        Their scores, in (0, 1]: the share of the words' weight that a clip's title and tags hold;
        a word that only the description holds counts half. Equal scores are ordered by nearness to
        a vector [D], or by row where there is none.
        """

    def candidates(self, requests: Sequence[SearchRequest], limit: int) -> list[Candidates]:
        """Of each request the rankings by `search` and `match`, up to `limit` rows of each."""

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter."""

    def columns(self, *filters: Filter) -> StoreColumns | None:
        """The generation, and the columns of all clips, part by part, with a mask for each filter:
        which clips exist and pass, None for all.

        None where the store keeps no columns in memory.
        """

    def wait_until_idle(self) -> None:
        """Wait for work in the background."""

    def nbytes(self) -> int:
        """About the memory of this process that vectors and columns take, in bytes."""

    def save(self, file: Path) -> None:
        """Write a snapshot, whole or not at all."""

    def load(self, file: Path, *, outdated: bool = False) -> bool:
        """Load a snapshot of this very library; False where there is none to trust.

        `outdated`: one in the form of an older version may be loaded as well.
        """

    def drop(self) -> None:
        """Forget all clips; the store is empty then, of generation 0."""

    def label(self) -> str:
        """The kind of index, for people, without any address."""

    def description(self) -> str:
        """The kind of index, for people, with its address where it has one."""

    def close(self) -> None:
        """Release connections and threads; the store is not used after that."""


# As `VectorStore.match`, of words with weights, and the cosines of the clips.
Matching = Callable[
    [Mapping[str, float], int, Filter | None, Array | None], tuple[Rows, Array, Array]
]


def candidates_one_by_one(
    store: VectorStore, matching: Matching, requests: Sequence[SearchRequest], limit: int
) -> list[Candidates]:
    """The results of `VectorStore.candidates`, by one search after the other."""
    candidates = []
    for request in requests:
        nearest, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
        if request.vector is not None:
            nearest, cosines = store.search(request.vector, limit, request.where)
        weights = store.weights(tuple(request.stems), request.related)
        rows, shares, own = matching(weights, limit, request.where, request.vector)
        matching_cosines = None if request.vector is None else own
        found = Candidates(nearest, cosines, rows, shares, matching_cosines, weights)
        candidates.append(found)
    return candidates


def order_ties(
    nearest: Callable[[int], tuple[Rows, Array]], count: int, max_count: int
) -> tuple[Rows, Array]:
    """At least the `count` best rows and scores, best first, equal scores ordered by row.

    `nearest(n)` gives the n best, and any of several that tie for the last places. So it is called
    for more until all ties are there, but for no more than `max_count`.
    """
    fetched = min(count + 1, max_count)
    while True:
        rows, scores = nearest(fetched)
        if len(rows) < fetched or fetched == max_count or scores[-1] < scores[count - 1]:
            break
        fetched = min(2 * fetched, max_count)
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]
