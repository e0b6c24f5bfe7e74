"""The vector store on one machine: FAISS, searched without locks.

Readers work on an immutable state; a writer makes the next one and swaps it in. A state is a large
segment (`base`), a mask of its clips that were removed or changed since it was built, and a small
segment (`recent`) of clips that came since. So the cost of a write depends on the write, not on the
library. A thread merges both segments when the small one has grown; searches and writes go on.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import faiss
import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.expansion import RelatedByStem
from earmark.index.lexical.term_weights import word_weights
from earmark.index.stores import snapshot
from earmark.index.stores.base import (
    NO_RELATED,
    StoreColumns,
    candidates_one_by_one,
    order_ties,
)
from earmark.index.stores.columns import Columns, Mask
from earmark.index.stores.faiss import batched, segment_io
from earmark.index.stores.faiss.segment import (
    MAX_FLAT,
    Entries,
    Segment,
    append,
    build,
    remove,
    select,
    update_lists,
    with_columns,
)
from earmark.index.types import Candidates, Filter, SearchRequest
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

MAX_RECENT = 20_000  # vectors in the small segment
FEW_VECTORS = 1_000  # recent or removed vectors that never make a merge due
MAX_REMOVED_SHARE = 0.2  # of the base, before it is built again
MAX_TIES = 16_384  # clips of equal score that are ordered
FORM = {"texts": segment_io.TEXTS, "layout": segment_io.LAYOUT}  # of snapshots
GROWTH = 4  # times as many vectors as the inverted lists were made for: made again


@dataclass(frozen=True)
class _State:
    """One immutable generation. `removed` [base]: True where a clip of the base was removed or
    changed."""

    base: Segment
    removed: Mask
    recent: Segment
    generation: int

    @property
    def segments(self) -> tuple[Segment, Segment]:
        return self.base, self.recent

    @property
    def clip_count(self) -> int:
        return len(self.base) - int(np.count_nonzero(self.removed)) + len(self.recent)


class FaissStore:
    """Inner-product search by clip number, with filters. Implements VectorStore.

    `max_flat`: vectors of a base that are compared one by one; `max_recent`: vectors beside the
    base.
    """

    forkable = True
    shared = False
    takes_edits = True
    max_changes = None  # all clips stay in memory, and inverted lists are made of all of them

    def __init__(
        self, library: str, dim: int, max_flat: int = MAX_FLAT, max_recent: int = MAX_RECENT
    ) -> None:
        self._library, self._dim = library, dim
        self._max_flat, self._max_recent = max_flat, max_recent
        self._few = min(FEW_VECTORS, max_recent)
        self._state = _State(_empty(dim), np.zeros(0, np.bool_), _empty(dim), 0)
        self._form = FORM
        self._writing = threading.Lock()
        self._merging: threading.Thread | None = None
        self._changed: list[Rows] = []  # since the current merge began

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._state.generation

    def __len__(self) -> int:
        return self._state.clip_count

    def label(self) -> str:
        """The kind of index, for people."""
        state = self._state
        if not len(state.base):
            return state.recent.label()
        return f"{state.base.label()}; {len(state.recent)} recent clips beside it"

    def description(self) -> str:
        """The same: it has no address."""
        return self.label()

    def columns(self, *filters: Filter) -> StoreColumns:
        """See VectorStore."""
        state = self._state
        masks = [_masks(state, where) for where in filters]
        return state.generation, [
            (segment.columns, [own[place] for own in masks])
            for place, segment in enumerate(state.segments)
        ]

    def nbytes(self) -> int:
        """About the memory that vectors and columns take, in bytes."""
        return sum(segment.nbytes() for segment in self._state.segments)

    # Writing

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`; searches see all or nothing."""
        if changes.edited is not None:
            self.wait_until_idle()  # a merge would swap in the columns of before
        with self._writing:
            old = self._state
            if changes.generation <= old.generation:
                return
            if changes.edited is not None:
                old = _edited(old, changes.edited)
            changed = np.concatenate([changes.rows, changes.removed])
            if self._merging is not None:
                self._changed.append(changed)
            removed = old.removed | old.base.isin(changed) if len(changed) else old.removed
            recent = remove(old.recent, changed)
            base = old.base
            if len(changes.rows):
                added = Entries.of(changes)
                if not len(base) and not len(recent) and len(added.vectors) > self._few:
                    base = build(added, self._max_flat)  # nothing to merge it with
                    removed = np.zeros(len(base), np.bool_)
                else:
                    recent = append(recent, added) if len(recent) else build(added)
            self._state = _State(base, removed, recent, changes.generation)
            if self._merging is None and self._is_merge_due():
                self._begin_merge()

    def drop(self) -> None:
        """Forget all clips; the store is empty then, of generation 0."""
        self.wait_until_idle()
        with self._writing:
            self._state = _State(_empty(self._dim), np.zeros(0, np.bool_), _empty(self._dim), 0)
            self._form = FORM

    def _begin_merge(self) -> None:
        """In a thread; the first merge at once, as there is nothing to search meanwhile."""
        self._changed = []
        if len(self._state.base):
            self._merging = threading.Thread(target=self._merge, args=(self._state,), daemon=True)
            self._merging.start()
        else:
            self._swap_in(self._merged(self._state))

    def _merge(self, state: _State) -> None:
        try:
            base = self._merged(state)
        except (MemoryError, RuntimeError):  # FAISS raises RuntimeError when memory is short
            log.exception("merging failed: searches go on as before, the next write tries again")
            base = None
        with self._writing:
            if base is not None:
                self._swap_in(base)
            self._merging = None

    def _swap_in(self, base: Segment) -> None:
        """Swap in the merged segment; clips changed meanwhile stay in the recent one."""
        now = self._state
        changed = np.concatenate(self._changed) if self._changed else np.zeros(0, np.int64)
        self._changed = []
        mask = np.isin(now.recent.rows, changed)
        recent = select(now.recent, mask) if mask.any() else _empty(self._dim)
        self._state = _State(base, base.isin(changed), recent, now.generation)

    def _is_merge_due(self) -> bool:
        state = self._state
        base, recent = state.base.vector_count, state.recent.vector_count
        small = base <= self._max_flat and recent > base // 4 + self._few
        removed = int(state.base.counts[state.removed].sum())
        many_removed = removed > max(self._few, MAX_REMOVED_SHARE * base)
        return small or many_removed or recent > self._max_recent

    def _merged(self, state: _State) -> Segment:
        """One segment of all clips."""
        base, recent, keep = state.base, state.recent, ~state.removed
        total = int(base.counts[keep].sum()) + recent.vector_count
        if base.probes and self._max_flat < total <= GROWTH * base.trained_on:
            return update_lists(base, state.removed, recent)
        return build(base.entries().select(keep).concatenate(recent.entries()), self._max_flat)

    def wait_until_idle(self) -> None:
        """Wait for the current merge."""
        merging = self._merging
        if merging is not None:
            merging.join()

    def close(self) -> None:
        """Wait for the current merge; there is nothing else to release."""
        self.wait_until_idle()

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
        """See VectorStore. Exact up to 50,000 vectors; above, see `index.stores.faiss.segment`."""
        state, end = self._state, offset + k
        rows, scores = _nearest(state, _masks(state, where), vector, end)
        rows, scores = rows[offset:end], scores[offset:end]
        return rows[scores >= min_score], scores[scores >= min_score]

    def search_exact(
        self, vector: Array, k: int, where: Filter | None = None
    ) -> tuple[Rows, Array]:
        """As `search`, but compared with every vector: slow above 50,000 vectors."""
        state = self._state
        rows, scores = _nearest(state, _masks(state, where), vector, k, exact=True)
        return rows[:k], scores[:k]

    def window_scores(self, vector: Array, row: int) -> Array | None:
        """See VectorStore."""
        faiss.omp_set_num_threads(1)
        state, asked = self._state, np.array([row], dtype=np.int64)
        for segment, removed in ((state.recent, None), (state.base, state.removed)):
            positions, present = segment.positions(asked)
            position = int(positions[0])
            if present[0] and not (removed is not None and removed[position]):
                return segment.window_scores(vector, position)
        return None

    def weights(
        self, words: Sequence[str], related: RelatedByStem = NO_RELATED
    ) -> dict[str, float]:
        """See VectorStore."""
        return _weights(self._state, words, related)

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """See VectorStore. Exact, but for the order of ties, which is that of `search`."""
        state = self._state
        weights = words if isinstance(words, Mapping) else _weights(state, words, NO_RELATED)
        rows, shares, _ = self._matching(weights, k, where, vector)
        return rows, shares

    def _matching(
        self, weights: Mapping[str, float], k: int, where: Filter | None, vector: Array | None
    ) -> tuple[Rows, Array, Array]:
        """Rows and scores of `match`, and the clips' cosines, NaN where they are not known."""
        state = self._state
        shares = [segment.columns.word_shares(weights) for segment in state.segments]
        for share, mask in zip(shares, _masks(state, where), strict=True):
            if mask is not None:
                share[~mask] = 0
        best = np.sort(np.concatenate([share[share > 0] for share in shares]))[::-1][:k]
        if not len(best):
            return np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)
        # All clips above the last share are in; of those that have it, some.
        above = _best_rows(state, [share > best[-1] for share in shares], vector, k)
        left = k - len(above[0])
        tied = _best_rows(state, [share == best[-1] for share in shares], vector, left)
        rows = np.concatenate([above[0], tied[0]])
        cosines = np.concatenate([above[1], tied[1]])
        values = _shares_of(state.segments, shares, rows)
        order = np.argsort(-values, kind="stable")
        return rows[order], np.minimum(values[order], 1), cosines[order]

    def candidates(self, requests: Sequence[SearchRequest], limit: int) -> list[Candidates]:
        """See VectorStore."""
        state = self._state
        if any(segment.probes for segment in state.segments):
            return candidates_one_by_one(self, self._matching, requests, limit)
        return batched.candidates(
            state.segments,
            functools.partial(_masks, state),
            functools.partial(_weights, state),
            requests,
            limit,
        )

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter."""
        state = self._state
        parts = zip(state.segments, _masks(state, where), strict=True)
        return np.concatenate(
            [segment.rows if mask is None else segment.rows[mask] for segment, mask in parts]
        )

    # The snapshot

    @property
    def outdated(self) -> bool:
        """See VectorStore."""
        return self._form != FORM

    def save(self, file: Path) -> None:
        """Write a snapshot, whole or not at all. Raises OSError."""
        state = self._state
        # What was written since it was loaded is in today's form, which no version before may load.
        form = self._form if self._form == FORM else {**self._form, "texts": 0}
        header = {
            "library": self._library,
            "generation": state.generation,
            "dim": self._dim,
            **form,
            "base": segment_io.header(state.base),
            "recent": segment_io.header(state.recent),
        }
        base = segment_io.parts("base", state.base)
        recent = segment_io.parts("recent", state.recent)
        snapshot.write(file, header, {"gone": state.removed, **base, **recent})

    def load(self, file: Path, *, outdated: bool = False) -> bool:
        """See VectorStore."""
        if not file.exists():
            return False
        try:
            header, parts = snapshot.read(file)
            if (header["library"], header["dim"]) != (self._library, self._dim):
                raise snapshot.SnapshotError("it is another library's")
            form = {name: int(header.get(name, 1)) for name in FORM}
            if form != FORM and not (outdated and all(form[name] <= FORM[name] for name in FORM)):
                raise snapshot.SnapshotError("it is of another version")
            base, recent = (
                segment_io.read(name, header[name], parts) for name in ("base", "recent")
            )
        except (OSError, KeyError, RuntimeError, snapshot.SnapshotError) as error:
            # RuntimeError: a version of FAISS wrote it that this one cannot read.
            log.warning("snapshot %s cannot be used (%s): building anew", file, error)
            return False
        self._state = _State(base, parts["gone"].copy(), recent, int(header["generation"]))
        self._form = form
        return True


def _edited(state: _State, changes: Changes) -> _State:
    """The state with other columns of clips whose vectors stay."""
    columns = Columns.of(changes)
    base, recent = (with_columns(each, changes.rows, columns) for each in state.segments)
    return replace(state, base=base, recent=recent)


def _empty(dim: int) -> Segment:
    rows, vectors = np.zeros(0, np.int64), np.zeros((0, dim), np.float32)
    values, days = np.zeros(0, np.float32), np.zeros(0, np.int32)
    none = Changes(
        *(rows, vectors, rows, values, values, days),
        *([], [], [], [], [], [], [], []),
        removed=rows,
        generation=0,
    )
    return build(Entries.of(none))


def _nearest(
    state: _State, masks: Sequence[Mask | None], vector: Array, count: int, exact: bool = False
) -> tuple[Rows, Array]:
    """At least the `count` nearest clips in the masks, equal scores ordered by row."""
    # One query is never worth a team of threads, and FAISS's team would fight with torch's
    # for the cores (30 ms for 0.3). The setting is the calling thread's own.
    faiss.omp_set_num_threads(1)
    parts = list(zip(state.segments, masks, strict=True))

    def nearest(count: int) -> tuple[Rows, Array]:
        found = [segment.search(vector, count, mask, exact=exact) for segment, mask in parts]
        rows, scores = (np.concatenate(both) for both in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:count]
        return rows[best], scores[best]

    return order_ties(nearest, count, max(MAX_TIES, count + 1))


def _best_rows(
    state: _State, masks: Sequence[Mask], vector: Array | None, limit: int
) -> tuple[Rows, Array]:
    """Up to `limit` clips in the masks, nearest to the vector first, with their cosines; those that
    the search has missed, and all without a vector, by row, with NaN."""
    rows, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
    if vector is not None:
        found, scores = _nearest(state, masks, vector, limit)
        rows, cosines = found[:limit], scores[:limit]
    if len(rows) < min(limit, sum(int(np.count_nonzero(mask)) for mask in masks)):
        parts = zip(state.segments, masks, strict=True)
        passing = np.concatenate([segment.rows[mask] for segment, mask in parts])
        missed = np.setdiff1d(passing, rows)[: limit - len(rows)]
        rows = np.concatenate([rows, missed])
        cosines = np.concatenate([cosines, np.full(len(missed), np.nan, np.float32)])
    return rows, cosines


def _shares_of(segments: Sequence[Segment], shares: Sequence[Array], rows: Rows) -> Array:
    """The shares of these clips [len(rows)], from those of all positions of the segments."""
    values = np.zeros(len(rows), np.float32)
    for segment, share in zip(segments, shares, strict=True):
        positions, present = segment.positions(rows)
        # A clip that changed is in both segments; its share in the base is 0.
        values[present] = np.maximum(values[present], share[positions[present]])
    return values


def _weights(state: _State, words: Sequence[str], related: RelatedByStem) -> dict[str, float]:
    def document_frequency(word: str) -> int:
        return sum(segment.columns.document_frequency(word) for segment in state.segments)

    return word_weights(words, related, document_frequency, lambda: state.clip_count)


def _masks(state: _State, where: Filter | None) -> list[Mask | None]:
    """For base and recent, which clips exist and pass; None for all."""
    masks: list[Mask | None] = []
    for segment, removed in ((state.base, state.removed), (state.recent, None)):
        mask = None if removed is None or not removed.any() else ~removed
        if where is not None and not where.empty:
            passing = segment.mask(where)
            mask = passing if mask is None else mask & passing
        masks.append(mask)
    return masks
