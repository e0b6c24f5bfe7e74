"""The vector store on one machine: FAISS, searched without locks.

Readers work on an immutable state; a writer makes the next and swaps it in. A state is a large
segment (`base`), which of its clips have gone or changed since, and a small one (`recent`) with
what came since; so a write costs what it writes, not what the library holds. A thread merges them
when the small one has grown, while searches and writes go on.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.expansion import Others
from earmark.index.stores import snapshot
from earmark.index.stores.base import (
    NO_OTHERS,
    Candidates,
    Wanted,
    one_by_one,
    ranked,
    word_weights,
)
from earmark.index.stores.columns import Columns, Mask
from earmark.index.stores.faiss import batched as exact
from earmark.index.stores.faiss import segment, segment_io
from earmark.index.stores.faiss.segment import FLAT_MOST, Segment
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

RECENT_MOST = 20_000  # clips in the small segment
SMALL = 1_000  # recent clips that are never too many
GONE_SHARE = 0.2  # of the base that may have gone before it is built anew
EQUAL_MOST = 16_384  # clips of one score that are put in order
GROWN = 4  # times as many vectors as its lists were made for: built anew


@dataclass(frozen=True)
class _State:
    """One immutable generation. `gone`: [base], True where a clip is there no more."""

    base: Segment
    gone: Mask
    recent: Segment
    generation: int

    @property
    def alive(self) -> int:
        return len(self.base) - int(np.count_nonzero(self.gone)) + len(self.recent)


class FaissStore:
    """Inner-product search by clip number, with filters. Implements VectorStore.

    `flat_most`: clips of a base that are compared one by one; `recent_most`: those beside it.
    """

    def __init__(
        self, library: str, dim: int, flat_most: int = FLAT_MOST, recent_most: int = RECENT_MOST
    ) -> None:
        self._library, self._dim = library, dim
        self._flat_most, self._recent_most = flat_most, recent_most
        self._state = _State(_empty(dim), np.zeros(0, np.bool_), _empty(dim), 0)
        self._writing = threading.Lock()
        self._merging: threading.Thread | None = None
        self._touched: list[Rows] = []  # since the merge that is under way began

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""
        return self._state.generation

    @property
    def most_at_once(self) -> None:
        """Any number of clips: they all stay in memory, and lists are made of all of them."""

    def __len__(self) -> int:
        return self._state.alive

    def kind(self) -> str:
        """The kind of index, for people."""
        state = self._state
        if not len(state.base):
            return state.recent.kind()
        return f"{state.base.kind()}; {len(state.recent)} recent clips beside it"

    def columns(self) -> tuple[int, list[tuple[Columns, Mask | None]]]:
        """(the generation, the columns of all clips and which of those are there; None: all)."""
        state = self._state
        parts = zip((state.base, state.recent), _masks(state, None), strict=True)
        return state.generation, [(each.columns, mask) for each, mask in parts]

    def nbytes(self) -> int:
        """About the memory that vectors and columns take, in bytes."""
        state = self._state
        return state.base.nbytes() + state.recent.nbytes()

    # Writing

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`; searches see all or nothing."""
        with self._writing:
            old = self._state
            if changes.generation <= old.generation:
                return
            columns = Columns.of(changes)
            touched = np.concatenate([changes.rows, changes.removed])
            if self._merging is not None:
                self._touched.append(touched)
            gone = old.gone | old.base.among(touched) if len(touched) else old.gone
            recent = segment.without(old.recent, touched)
            if len(changes.rows):
                added = (changes.rows, np.asarray(changes.vectors, np.float32), columns)
                recent = segment.joined(recent, *added) if len(recent) else segment.build(*added)
            self._state = _State(old.base, gone, recent, changes.generation)
            if self._merging is None and self._is_due():
                self._begin_merge()

    def _begin_merge(self) -> None:
        """In a thread; the first one here and now, since nothing is there to search meanwhile."""
        self._touched = []
        if len(self._state.base):
            self._merging = threading.Thread(target=self._merge, args=(self._state,), daemon=True)
            self._merging.start()
        else:
            self._take_over(self._merged(self._state))

    def _merge(self, state: _State) -> None:
        try:
            base = self._merged(state)
        except (MemoryError, RuntimeError):  # FAISS says by RuntimeError that memory is short
            log.exception("merging failed: searches go on as before, the next write tries again")
            base = None
        with self._writing:
            if base is not None:
                self._take_over(base)
            self._merging = None

    def _take_over(self, base: Segment) -> None:
        """Put a merged base in place; what was touched since it began stays beside it."""
        now = self._state
        touched = np.concatenate(self._touched) if self._touched else np.zeros(0, np.int64)
        self._touched = []
        keep = np.isin(now.recent.rows, touched)
        recent = segment.kept(now.recent, keep) if keep.any() else _empty(self._dim)
        self._state = _State(base, base.among(touched), recent, now.generation)

    def _is_due(self) -> bool:
        """Whether base and recent clips should become one."""
        state = self._state
        base, recent = len(state.base), len(state.recent)
        few = min(SMALL, self._recent_most)
        small = base <= self._flat_most and recent > base // 4 + few
        many_gone = int(np.count_nonzero(state.gone)) > max(few, GONE_SHARE * base)
        return small or many_gone or recent > self._recent_most

    def _merged(self, state: _State) -> Segment:
        """One segment of all that is there."""
        base, recent, keep = state.base, state.recent, ~state.gone
        total = int(np.count_nonzero(keep)) + len(recent)
        if base.probes and self._flat_most < total <= GROWN * base.trained_on:
            return segment.extended(base, state.gone, recent)
        rows = np.concatenate([base.rows[keep], recent.rows])
        vectors = np.concatenate([base.vectors()[keep], recent.vectors()])
        columns = base.columns.kept(keep).joined(recent.columns)
        return segment.build(rows, vectors, columns, self._flat_most)

    def settle(self) -> None:
        """Wait for a merge that is under way."""
        merging = self._merging
        if merging is not None:
            merging.join()

    def close(self) -> None:
        """Wait for a merge that is under way; there is nothing else to let go of."""
        self.settle()

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
        """See VectorStore. Exact up to 50,000 clips; above, see `index.stores.faiss.segment`."""
        state, wanted = self._state, offset + k
        rows, scores = _nearest(state, _masks(state, where), vector, wanted)
        rows, scores = rows[offset:wanted], scores[offset:wanted]
        return rows[scores >= least], scores[scores >= least]

    def exact(self, vector: Array, k: int, where: Filter | None = None) -> tuple[Rows, Array]:
        """As `search`, but compared with every vector that it holds: slow above 50,000 clips."""
        state = self._state
        rows, scores = _nearest(state, _masks(state, where), vector, k, exact=True)
        return rows[:k], scores[:k]

    def weights(self, words: Sequence[str], related: Others = NO_OTHERS) -> dict[str, float]:
        """See VectorStore."""
        return _weights(self._state, words, related)

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """See VectorStore. Exact, but for the order of equal ones, which is as `search`'s."""
        state = self._state
        segments = (state.base, state.recent)
        weights = words if isinstance(words, Mapping) else _weights(state, words, NO_OTHERS)
        shares = [each.columns.matching(weights) for each in segments]
        for share, mask in zip(shares, _masks(state, where), strict=True):
            if mask is not None:
                share[~mask] = 0
        best = np.sort(np.concatenate([share[share > 0] for share in shares]))[::-1][:k]
        if not len(best):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        # Those above the last value that is wanted are all wanted; of those that have it, some.
        above = _of_masks(state, [share > best[-1] for share in shares], vector, k)
        some = _of_masks(state, [share == best[-1] for share in shares], vector, k - len(above))
        rows = np.concatenate([above, some])
        values = _values(segments, shares, rows)
        order = np.argsort(-values, kind="stable")
        return rows[order], np.minimum(values[order], 1)

    def candidates(self, wanted: Sequence[Wanted], most: int) -> list[Candidates]:
        """See VectorStore."""
        state = self._state
        segments = (state.base, state.recent)
        if any(each.probes for each in segments):
            return one_by_one(self, wanted, most)
        return exact.candidates(
            segments,
            functools.partial(_masks, state),
            functools.partial(_weights, state),
            wanted,
            most,
        )

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter."""
        state = self._state
        parts = zip((state.base, state.recent), _masks(state, where), strict=True)
        return np.concatenate(
            [each.rows if mask is None else each.rows[mask] for each, mask in parts]
        )

    # The snapshot

    def save(self, file: Path) -> None:
        """Write a snapshot, whole or not at all. Raises OSError."""
        state = self._state
        says = {
            "library": self._library,
            "generation": state.generation,
            "dim": self._dim,
            "base": segment_io.says(state.base),
            "recent": segment_io.says(state.recent),
        }
        base = segment_io.parts("base", state.base)
        recent = segment_io.parts("recent", state.recent)
        snapshot.write(file, says, {"gone": state.gone, **base, **recent})

    def load(self, file: Path) -> bool:
        """Take over a snapshot of this very library; False where there is none to trust."""
        if not file.exists():
            return False
        try:
            says, parts = snapshot.read(file)
            if (says["library"], says["dim"]) != (self._library, self._dim):
                raise snapshot.SnapshotError("it is another library's")
            base, recent = (
                segment_io.segment(name, says[name], parts) for name in ("base", "recent")
            )
        except (OSError, KeyError, RuntimeError, snapshot.SnapshotError) as error:
            # RuntimeError: written by a FAISS that this one cannot read.
            log.warning("snapshot %s cannot be used (%s): building anew", file, error)
            return False
        self._state = _State(base, parts["gone"].copy(), recent, int(says["generation"]))
        return True


def _empty(dim: int) -> Segment:
    rows, vectors = np.zeros(0, np.int64), np.zeros((0, dim), np.float32)
    none = Changes(rows, vectors, np.zeros(0, np.float32), [], [], [], [], [], rows, 0)
    return segment.build(rows, vectors, Columns.of(none))


def _nearest(
    state: _State, masks: Sequence[Mask | None], vector: Array, wanted: int, exact: bool = False
) -> tuple[Rows, Array]:
    """At least the `wanted` nearest of those in the masks, equal scores in order of rows."""
    # One query is never worth a team of threads, and FAISS's team would fight with torch's
    # for the cores (30 ms for 0.3). The setting is the calling thread's own.
    faiss.omp_set_num_threads(1)
    parts = list(zip((state.base, state.recent), masks, strict=True))

    def nearest(count: int) -> tuple[Rows, Array]:
        found = [each.search(vector, count, mask, exact=exact) for each, mask in parts]
        rows, scores = (np.concatenate(both) for both in zip(*found, strict=True))
        best = np.argsort(-scores, kind="stable")[:count]
        return rows[best], scores[best]

    return ranked(nearest, wanted, max(EQUAL_MOST, wanted + 1))


def _of_masks(state: _State, masks: Sequence[Mask], vector: Array | None, most: int) -> Rows:
    """Up to `most` of the clips in the masks, nearest to the vector first; without one, by row."""
    if vector is not None:
        return _nearest(state, masks, vector, most)[0][:most]
    both = zip((state.base, state.recent), masks, strict=True)
    return np.sort(np.concatenate([each.rows[mask] for each, mask in both]))[:most]


def _values(segments: Sequence[Segment], values: Sequence[Array], rows: Rows) -> Array:
    """The values that clips have in their segments, by their numbers."""
    found = np.zeros(len(rows), np.float32)
    for each, own in zip(segments, values, strict=True):
        places, there = each.places(rows)
        # A clip that changed stands in both segments; where it has gone its value is 0.
        found[there] = np.maximum(found[there], own[places[there]])
    return found


def _weights(state: _State, words: Sequence[str], related: Others) -> dict[str, float]:
    def holders(word: str) -> int:
        return state.base.columns.holders(word) + state.recent.columns.holders(word)

    return word_weights(words, related, holders, lambda: state.alive)


def _masks(state: _State, where: Filter | None) -> list[Mask | None]:
    """For base and recent, which clips may be found; None for all."""
    masks: list[Mask | None] = []
    for each, gone in ((state.base, state.gone), (state.recent, None)):
        there = None if gone is None or not gone.any() else ~gone
        if where is not None and not where.empty:
            passing = each.mask(where)
            there = passing if there is None else there & passing
        masks.append(there)
    return masks
