"""Segments of the FAISS store: immutable vectors with the rows and columns of their clips.

A clip has its own vector, and those of its windows where it is longer than one; a search finds
clips, by the nearest vector of each. Up to MAX_FLAT vectors are stored in float32 and compared one
by one, which is exact and fast enough. More are assigned to inverted lists in float16. When the
segment is built, a sample of queries tells how many lists give a recall@10 of 0.995 against exact
search; a search probes twice as many, and 1/s times those under a filter that lets a share s pass,
so that its recall holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import faiss
import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.records import Changes
from earmark.index.stores.columns import Columns, Mask
from earmark.index.types import Filter, RowSet
from earmark.model.core.arrays import Array, Rows

MAX_FLAT = 50_000
TRAIN_PER_LIST = 40
SAMPLE = 200  # queries of the calibration
RECALL = 0.995
NEIGHBOURS = 10
MARGIN = 2  # times the lists that the sample needs: other queries are harder
QUERY_DISTANCE = 0.7  # from a vector to a sampled query: farther queries need more lists
BLOCK = 100_000  # vectors added at a time
FEW_VECTORS = 1_000  # as many are all asked for at once
SCATTERED = 100  # windows of a clip, from which looking them up in lists is worth it
WINDOWS_PER_CLIP = 4  # vectors asked for to find a clip, where clips have several


@dataclass(frozen=True)
class Entries:
    """Clips on their way into a segment: `rows` [n], `columns` of n, `vectors` [m, D] clip by clip,
    and where each clip's `ends` [n] in them."""

    rows: Rows
    columns: Columns
    vectors: Array
    ends: Rows

    @staticmethod
    def of(changes: Changes) -> Entries:
        """The clips that were added or changed."""
        vectors = np.asarray(changes.vectors, np.float32)
        return Entries(changes.rows, Columns.of(changes), vectors, changes.ends)

    def select(self, mask: Mask) -> Entries:
        """The clips in a mask [n]."""
        if mask.all():
            return self
        counts = _counts(self.ends)
        ends = np.cumsum(counts[mask], dtype=np.int64)
        vectors = self.vectors[np.repeat(mask, counts)]
        return Entries(self.rows[mask], self.columns.select(mask), vectors, ends)

    def concatenate(self, other: Entries) -> Entries:
        """These clips and others after them."""
        return Entries(
            np.concatenate([self.rows, other.rows]),
            self.columns.concatenate(other.columns),
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.ends, len(self.vectors) + other.ends]),
        )


@dataclass(frozen=True)
class Segment:
    """Vectors of n clips, clip by clip. `rows` [n]: the clips' numbers; `ends` [n]: where each
    clip's vectors end in the index; `probes`: lists that a search probes, 0 where flat; `recall`:
    that half of them gave on the sample; `trained_on`: how many vectors the lists were made for.
    """

    rows: Rows
    columns: Columns
    ends: Rows
    index: Any
    probes: int = 0
    recall: float = 1.0
    trained_on: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def vector_count(self) -> int:
        """How many vectors the clips have in all."""
        return int(self.index.ntotal)

    @cached_property
    def counts(self) -> Rows:
        """How many vectors each clip has [n]."""
        return _counts(self.ends)

    @cached_property
    def starts(self) -> Rows:
        """Where each clip's vectors start in the index [n]."""
        return self.ends - self.counts

    @property
    def has_windows(self) -> bool:
        """Whether a clip has more than one vector."""
        return self.vector_count > len(self)

    @cached_property
    def owners(self) -> npt.NDArray[np.int32]:
        """The position of the clip that each vector is of [vector_count]."""
        return np.repeat(np.arange(len(self), dtype=np.int32), self.counts)

    @cached_property
    def _ascending(self) -> tuple[Rows, Rows]:
        """(the rows ascending, the position of each)."""
        order = np.argsort(self.rows, kind="stable")
        return self.rows[order], order

    def positions(self, rows: Rows) -> tuple[Rows, Mask]:
        """(positions of clips, which of them are in the segment), both [len(rows)]."""
        if not len(self):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        ascending, order = self._ascending
        place = np.minimum(np.searchsorted(ascending, rows), len(self) - 1)
        return order[place], ascending[place] == rows

    def isin(self, rows: Rows) -> Mask:
        """[n], True where the clip is one of these."""
        mask = np.zeros(len(self), dtype=np.bool_)
        positions, present = self.positions(rows)
        mask[positions[present]] = True
        return mask

    @cached_property
    def _masks_of_sets(self) -> WeakKeyDictionary[RowSet, Mask]:
        """The masks [n] of sets that filters have named, as long as the sets are in use."""
        return WeakKeyDictionary()

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes."""
        passing = self.columns.mask(where)
        if where.up_to is not None:
            passing &= self.rows <= where.up_to
        if where.but is not None:
            passing &= self.rows != where.but
        if where.rows is not None:
            passing &= self.isin(np.array(where.rows, dtype=np.int64))
        if where.members is not None:
            if (held := self._masks_of_sets.get(where.members)) is None:
                held = self._masks_of_sets[where.members] = self.isin(where.members.rows)
            passing &= held
        return passing

    def search(
        self, vector: Array, k: int, mask: Mask | None, *, exact: bool = False
    ) -> tuple[Rows, Array]:
        """The k nearest clips in the mask (None: of all) by the nearest vector of each, and its
        cosine, best first; fewer if few.

        `exact`: probe all lists.
        """
        left = len(self) if mask is None else int(np.count_nonzero(mask))
        k = min(k, left)
        probed = math.inf if exact else k
        wanted = k
        if self.has_windows:
            wanted = k * WINDOWS_PER_CLIP
            if left <= FEW_VECTORS and mask is not None:
                passing = int(self.counts[mask].sum())
                wanted = passing if passing <= FEW_VECTORS else wanted
        found, best = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
        while k > 0:
            positions, cosines = self._nearest(vector, wanted, probed, mask)
            exhausted = len(positions) < wanted
            if self.has_windows:
                owners = self.owners[positions].astype(np.int64)
                first = _first_of_each(owners)
                positions, cosines = owners[first], cosines[first]
            found.append(positions[:k])
            best.append(cosines[:k])
            k -= len(positions)
            if exhausted:
                break
            if k > 0:  # clips of many near vectors make way for others
                mask = np.ones(len(self), np.bool_) if mask is None else mask.copy()
                mask[positions] = False
                wanted *= 2
        positions, cosines = np.concatenate(found), np.concatenate(best)
        return self.rows[positions], cosines

    def _nearest(
        self, vector: Array, count: int, probed: float, mask: Mask | None
    ) -> tuple[Rows, Array]:
        """Positions and cosines of the nearest vectors of clips in the mask, best first.

        `probed`: as many lists as that many neighbours are in.
        """
        passing, selector = self.vector_count, None
        if mask is not None and not mask.all():
            vectors = np.repeat(mask, self.counts) if self.has_windows else mask
            passing = int(np.count_nonzero(vectors))
            selector = faiss.IDSelectorBitmap(np.packbits(vectors, bitorder="little"))
        if not passing:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        if self.probes:
            # More neighbours lie in more lists, and so do neighbours that pass a filter.
            share = passing / self.vector_count
            needed = self.probes * max(1.0, probed / NEIGHBOURS) ** 0.5 / share
            probes = math.ceil(min(self.index.nlist, needed))
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        query = np.ascontiguousarray(vector[None], dtype=np.float32)
        scores, found = self.index.search(query, min(count, passing), params=parameters)
        valid = found[0] >= 0
        return found[0][valid], scores[0][valid]

    def window_scores(self, vector: Array, position: int) -> Array | None:
        """The scores [W] of the windows of the clip at a position; None where it has none, and in
        lists where it has few: those are sooner made anew than looked up."""
        start, end = int(self.starts[position]) + 1, int(self.ends[position])
        if start >= end or (self.probes and end - start < SCATTERED):
            return None
        if not self.probes:
            return np.asarray(self.matrix[start:end] @ vector, np.float32)
        parameters = faiss.SearchParametersIVF(
            sel=faiss.IDSelectorRange(start, end), nprobe=self.index.nlist
        )
        query = np.ascontiguousarray(vector[None], dtype=np.float32)
        found, numbers = self.index.search(query, end - start, params=parameters)
        scores = np.empty(end - start, np.float32)
        scores[numbers[0] - start] = found[0]
        return scores

    @cached_property
    def matrix(self) -> Array:
        """The vectors [vector_count, D] of a flat segment, as a view of the index."""
        assert not self.probes, "inverted lists hold no matrix"
        count = self.vector_count
        if not count:
            return np.zeros((0, self.index.d), np.float32)
        flat = faiss.rev_swig_ptr(self.index.get_xb(), count * self.index.d)
        return np.asarray(flat).reshape(count, self.index.d)

    def entries(self) -> Entries:
        """Its clips, with all vectors as the index reconstructs them."""
        index = self.index
        if self.probes:
            index = faiss.clone_index(self.index)
            index.make_direct_map()
        vectors = np.asarray(index.reconstruct_n(0, self.vector_count))
        return Entries(self.rows, self.columns, vectors, self.ends)

    def nbytes(self) -> int:
        """About the memory that it takes, in bytes."""
        codes = self.vector_count * (self.index.code_size + (8 if self.probes else 0))
        owners = 4 * self.vector_count if self.has_windows else 0
        return int(codes + owners + self.columns.nbytes() + self.rows.nbytes + self.ends.nbytes)

    def label(self) -> str:
        """The kind of index, for people."""
        if not self.probes:
            return "flat, exact, float32"
        return (
            f"{self.index.nlist} inverted lists, float16, {self.probes} probed "
            f"(recall@{NEIGHBOURS} over {self.recall:.3f} on a sample)"
        )


def build(entries: Entries, max_flat: int = MAX_FLAT) -> Segment:
    """A segment of these clips, flat or in inverted lists."""
    vectors, ends = entries.vectors, entries.ends
    count, dim = vectors.shape
    if count <= max_flat:
        index = faiss.IndexFlatIP(dim)
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return Segment(entries.rows, entries.columns, ends, index)
    lists = 2 ** round(math.log2(2 * math.sqrt(count)))
    generator = np.random.default_rng(0)
    quantizer = faiss.IndexFlatIP(dim)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(quantizer, dim, lists, kind, faiss.METRIC_INNER_PRODUCT)
    index.own_fields = True
    quantizer.this.disown()
    index.cp.niter = 10
    index.train(vectors[_training_sample(ends, TRAIN_PER_LIST * lists, generator)])
    for start in range(0, count, BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], dtype=np.float32))
    segment = Segment(entries.rows, entries.columns, ends, index, 1, 1.0, count)
    probes, recall = _calibrate(segment, vectors, generator)
    return replace(segment, probes=min(MARGIN * probes, lists), recall=recall)


def _training_sample(ends: Rows, size: int, generator: np.random.Generator) -> Rows:
    """Positions, ascending, of `size` vectors to make lists from: first of clips' own ones, since
    most windows are near to no query."""
    starts, count = ends - _counts(ends), int(ends[-1])
    sample = generator.choice(starts, min(len(starts), size), replace=False)
    if len(sample) < min(size, count):
        windows = np.setdiff1d(np.arange(count), starts, assume_unique=True)
        more = generator.choice(windows, min(size, count) - len(sample), replace=False)
        sample = np.concatenate([sample, more])
    return np.sort(sample)


def select(segment: Segment, mask: Mask) -> Segment:
    """A segment of the clips in a mask [n]."""
    return build(segment.entries().select(mask))


def remove(segment: Segment, rows: Rows) -> Segment:
    """A segment without these clips."""
    mask = segment.isin(rows)
    return select(segment, ~mask) if mask.any() else segment


def append(segment: Segment, added: Entries) -> Segment:
    """A segment of its clips and these after them."""
    return build(segment.entries().concatenate(added))


def with_columns(segment: Segment, rows: Rows, columns: Columns) -> Segment:
    """A segment of the same vectors, with other columns of these clips [n], if they are in it."""
    positions, present = segment.positions(rows)
    if not present.any():
        return segment
    replaced = segment.columns.replaced(positions[present], columns.select(present))
    changed = replace(segment, columns=replaced)
    derived = vars(segment).keys() - {each.name for each in fields(segment)}
    vars(changed).update({name: vars(segment)[name] for name in derived})  # of the vectors
    return changed


def update_lists(old: Segment, removed: Mask, added: Segment) -> Segment:
    """A segment in the inverted lists of `old`, without the clips in the mask `removed` and with
    those of `added`."""
    index = faiss.clone_index(old.index)
    keep = ~removed
    if removed.any():
        _remove_positions(index, np.repeat(removed, old.counts))
    kept = np.cumsum(old.counts[keep], dtype=np.int64)
    index.add(added.entries().vectors)
    return replace(
        old,
        rows=np.concatenate([old.rows[keep], added.rows]),
        columns=old.columns.select(keep).concatenate(added.columns),
        ends=np.concatenate([kept, (kept[-1] if len(kept) else 0) + added.ends]),
        index=index,
    )


def _counts(ends: Rows) -> Rows:
    """How many vectors each clip has, from where they end."""
    return np.diff(ends, prepend=0)


def _first_of_each(owners: npt.NDArray[np.integer[Any]]) -> Rows:
    """Indices of the first vector of each clip, ascending. `owners`: the clip of each vector."""
    _, first = np.unique(owners, return_index=True)
    return np.sort(first)


def _remove_positions(index: faiss.Index, mask: Mask) -> None:
    """Remove positions from the lists and number the rest without gaps."""
    index.remove_ids(faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))
    renumbered = np.cumsum(~mask, dtype=np.int64) - 1
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
            ids[:] = renumbered[ids]
    index.ntotal = int(np.count_nonzero(~mask))


def _calibrate(
    segment: Segment, vectors: Array, generator: np.random.Generator
) -> tuple[int, float]:
    """(fewest probes that reach RECALL on a sample, the recall).

    Half of the queries lie near a clip's own vector, half between two, as text queries do.
    """
    index, owners = segment.index, segment.owners
    sample = vectors[generator.choice(segment.starts, 3 * SAMPLE // 2)]
    near, one, other = np.split(sample, 3)
    noise = generator.standard_normal(near.shape) * QUERY_DISTANCE / math.sqrt(near.shape[1])
    queries = np.concatenate([near + noise, one + other]).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    count = NEIGHBOURS * (WINDOWS_PER_CLIP if segment.has_windows else 1)

    def nearest_clips(found: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int32]]:
        clips = [owners[positions[positions >= 0]] for positions in found]
        return [own[_first_of_each(own)[:NEIGHBOURS]] for own in clips]

    _, exact = faiss.knn(queries, vectors, count, metric=faiss.METRIC_INNER_PRODUCT)
    expected = nearest_clips(exact)
    probes, recall = 1, 0.0
    while True:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        _, found = index.search(queries, count, params=parameters)
        clips = nearest_clips(found)
        shares = [np.isin(true, own).mean() for true, own in zip(expected, clips, strict=True)]
        recall = float(np.mean(shares))
        if recall >= RECALL or probes >= index.nlist:
            return probes, recall
        probes = min(2 * probes, index.nlist)
