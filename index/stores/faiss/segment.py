"""Segments of the FAISS store: immutable vectors with the rows and columns of their clips.

Up to MAX_FLAT vectors are stored in float32 and compared one by one, which is exact and fast
enough. More are assigned to inverted lists in float16. When the segment is built, a sample of
queries tells how many lists give a recall@10 of 0.995 against exact search; a search probes twice
as many, and 1/s times those under a filter that lets a share s pass, so that its recall holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from earmark.index.stores.columns import Columns, Mask
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows

MAX_FLAT = 50_000
TRAIN_PER_LIST = 40
SAMPLE = 200  # queries of the calibration
RECALL = 0.995
NEIGHBOURS = 10
MARGIN = 2  # times the lists that the sample needs: other queries are harder
QUERY_DISTANCE = 0.7  # from a vector to a sampled query: farther queries need more lists
BLOCK = 100_000  # vectors added at a time


@dataclass(frozen=True)
class Segment:
    """Vectors at positions 0 to n − 1. `rows` [n]: their clips' numbers. `probes`: lists that a
    search probes, 0 where flat; `recall`: that half of them gave on the sample; `trained_on`: how
    many vectors the lists were made for.
    """

    rows: Rows
    columns: Columns
    index: Any
    probes: int = 0
    recall: float = 1.0
    trained_on: int = 0

    def __len__(self) -> int:
        return len(self.rows)

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

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes."""
        passing = self.columns.mask(where)
        if where.up_to is not None:
            passing &= self.rows <= where.up_to
        if where.but is not None:
            passing &= self.rows != where.but
        if where.rows is not None:
            passing &= self.isin(np.array(where.rows, dtype=np.int64))
        return passing

    def search(
        self, vector: Array, k: int, mask: Mask | None, *, exact: bool = False
    ) -> tuple[Rows, Array]:
        """The k nearest clips in the mask (None: of all), best first; fewer if few.

        `exact`: probe all lists.
        """
        passing = len(self) if mask is None else int(np.count_nonzero(mask))
        if not passing:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        selector = None
        if mask is not None and passing < len(self):
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if self.probes:
            # More neighbours lie in more lists, and so do neighbours that pass a filter.
            needed = self.probes * max(1.0, k / NEIGHBOURS) ** 0.5 * len(self) / passing
            probes = self.index.nlist if exact else min(self.index.nlist, math.ceil(needed))
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        query = np.ascontiguousarray(vector[None], dtype=np.float32)
        scores, found = self.index.search(query, min(k, passing), params=parameters)
        valid = found[0] >= 0
        return self.rows[found[0][valid]], scores[0][valid]

    @cached_property
    def matrix(self) -> Array:
        """The vectors [n, D] of a flat segment, as a view of the index."""
        assert not self.probes, "inverted lists hold no matrix"
        if not len(self):
            return np.zeros((0, self.index.d), np.float32)
        flat = faiss.rev_swig_ptr(self.index.get_xb(), len(self) * self.index.d)
        return np.asarray(flat).reshape(len(self), self.index.d)

    def vectors(self) -> Array:
        """All vectors [n, D], as the index reconstructs them."""
        if not self.probes:
            return np.asarray(self.index.reconstruct_n(0, len(self)))
        index = faiss.clone_index(self.index)
        index.make_direct_map()
        return np.asarray(index.reconstruct_n(0, len(self)))

    def nbytes(self) -> int:
        """About the memory that it takes, in bytes."""
        codes = len(self) * (self.index.code_size + (8 if self.probes else 0))
        return int(codes + self.columns.nbytes() + self.rows.nbytes)

    def label(self) -> str:
        """The kind of index, for people."""
        if not self.probes:
            return "flat, exact, float32"
        return (
            f"{self.index.nlist} inverted lists, float16, {self.probes} probed "
            f"(recall@{NEIGHBOURS} over {self.recall:.3f} on a sample)"
        )


def build(rows: Rows, vectors: Array, columns: Columns, max_flat: int = MAX_FLAT) -> Segment:
    """A segment of these vectors [n, D], flat or in inverted lists."""
    count, dim = vectors.shape
    if count <= max_flat:
        index = faiss.IndexFlatIP(dim)
        index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return Segment(rows, columns, index)
    lists = 2 ** round(math.log2(2 * math.sqrt(count)))
    generator = np.random.default_rng(0)
    quantizer = faiss.IndexFlatIP(dim)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(quantizer, dim, lists, kind, faiss.METRIC_INNER_PRODUCT)
    index.own_fields = True
    quantizer.this.disown()
    index.cp.niter = 10
    sample = generator.choice(count, min(count, TRAIN_PER_LIST * lists), replace=False)
    index.train(vectors[np.sort(sample)])
    for start in range(0, count, BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], dtype=np.float32))
    probes, recall = _calibrate(index, vectors, generator)
    return Segment(rows, columns, index, min(MARGIN * probes, lists), recall, count)


def select(segment: Segment, mask: Mask) -> Segment:
    """A segment of the clips in a mask [n]."""
    return build(segment.rows[mask], segment.vectors()[mask], segment.columns.select(mask))


def remove(segment: Segment, rows: Rows) -> Segment:
    """A segment without these clips."""
    mask = segment.isin(rows)
    return select(segment, ~mask) if mask.any() else segment


def append(segment: Segment, rows: Rows, vectors: Array, columns: Columns) -> Segment:
    """A segment of its clips and these after them."""
    return build(
        np.concatenate([segment.rows, rows]),
        np.concatenate([segment.vectors(), vectors]),
        segment.columns.concatenate(columns),
    )


def update_lists(old: Segment, removed: Mask, added: Segment) -> Segment:
    """A segment in the inverted lists of `old`, without the clips in the mask `removed` and with
    those of `added`."""
    index = faiss.clone_index(old.index)
    keep = ~removed
    if removed.any():
        _remove_positions(index, removed)
    index.add(added.vectors())
    return Segment(
        np.concatenate([old.rows[keep], added.rows]),
        old.columns.select(keep).concatenate(added.columns),
        index,
        old.probes,
        old.recall,
        old.trained_on,
    )


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
    index: faiss.Index, vectors: Array, generator: np.random.Generator
) -> tuple[int, float]:
    """(fewest probes that reach RECALL on a sample, the recall).

    Half of the queries lie near a vector, half between two, as text queries do.
    """
    sample = vectors[generator.choice(len(vectors), 3 * SAMPLE // 2, replace=False)]
    near, one, other = np.split(sample, 3)
    noise = generator.standard_normal(near.shape) * QUERY_DISTANCE / math.sqrt(near.shape[1])
    queries = np.concatenate([near + noise, one + other]).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, exact = faiss.knn(queries, vectors, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)
    probes, recall = 1, 0.0
    while True:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        _, found = index.search(queries, NEIGHBOURS, params=parameters)
        shares = [np.isin(true, rows).mean() for true, rows in zip(exact, found, strict=True)]
        recall = float(np.mean(shares))
        if recall >= RECALL or probes >= index.nlist:
            return probes, recall
        probes = min(2 * probes, index.nlist)
