"""A part of the FAISS store that never changes: vectors, their clips' numbers and columns.

The rule: up to FLAT_MOST vectors are kept in float32 and compared one by one, which is exact and
fast enough. More are dealt to inverted lists in float16; a search looks into twice as many lists as
gave a recall@10 of 0.995 against exact search on a sample when the segment was built, and under a
filter that lets a share s pass into 1/s times as many, so that its recall holds.
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

FLAT_MOST = 50_000
TRAIN_PER_LIST = 40
SAMPLE = 200  # queries that calibrate
RECALL = 0.995
NEIGHBOURS = 10
MARGIN = 2  # times as many lists as the sample needs: other queries are harder
FAR = 0.7  # length of the step from a vector to a query near it: farther ones need more lists
BLOCK = 100_000  # vectors dealt to lists at a time


@dataclass(frozen=True)
class Segment:
    """Vectors at positions 0 to n − 1. `rows` [n]; `probes`: lists looked into, 0 where flat;
    `recall`: what half of them gave on the sample; `trained_on`: vectors when the lists were made.
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
        """(the clips' numbers ascending, where each stands)."""
        order = np.argsort(self.rows, kind="stable")
        return self.rows[order], order

    def places(self, rows: Rows) -> tuple[Rows, Mask]:
        """(the positions of clips, which of them are here), both [len(rows)]."""
        if not len(self):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        ascending, order = self._ascending
        place = np.minimum(np.searchsorted(ascending, rows), len(self) - 1)
        return order[place], ascending[place] == rows

    def among(self, rows: Rows) -> Mask:
        """[n], True where the clip is one of these."""
        mask = np.zeros(len(self), dtype=np.bool_)
        places, there = self.places(rows)
        mask[places[there]] = True
        return mask

    def mask(self, where: Filter) -> Mask:
        """[n], True where a clip passes."""
        passing = self.columns.mask(where)
        if where.up_to is not None:
            passing &= self.rows <= where.up_to
        if where.but is not None:
            passing &= self.rows != where.but
        if where.rows is not None:
            passing &= self.among(np.array(where.rows, dtype=np.int64))
        return passing

    def search(
        self, vector: Array, k: int, mask: Mask | None, *, exact: bool = False
    ) -> tuple[Rows, Array]:
        """The k nearest of those in the mask (all when None), best first; fewer if few.

        `exact`: looks into all lists.
        """
        passing = len(self) if mask is None else int(np.count_nonzero(mask))
        if not passing:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        selector = None
        if mask is not None and passing < len(self):
            selector = faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        if self.probes:
            # More neighbours lie in more lists, and so do fewer that pass.
            wanted = self.probes * max(1.0, k / NEIGHBOURS) ** 0.5 * len(self) / passing
            probes = self.index.nlist if exact else min(self.index.nlist, math.ceil(wanted))
            parameters = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
        else:
            parameters = faiss.SearchParameters(sel=selector)
        query = np.ascontiguousarray(vector[None], dtype=np.float32)
        scores, found = self.index.search(query, min(k, passing), params=parameters)
        there = found[0] >= 0
        return self.rows[found[0][there]], scores[0][there]

    @cached_property
    def matrix(self) -> Array:
        """The vectors [n, D] of a flat segment themselves, not a copy."""
        assert not self.probes, "inverted lists keep no matrix"
        if not len(self):
            return np.zeros((0, self.index.d), np.float32)
        flat = faiss.rev_swig_ptr(self.index.get_xb(), len(self) * self.index.d)
        return np.asarray(flat).reshape(len(self), self.index.d)

    def vectors(self) -> Array:
        """All vectors [n, D], as near as they are kept."""
        if not self.probes:
            return np.asarray(self.index.reconstruct_n(0, len(self)))
        index = faiss.clone_index(self.index)
        index.make_direct_map()
        return np.asarray(index.reconstruct_n(0, len(self)))

    def nbytes(self) -> int:
        """About the memory that it takes, in bytes."""
        codes = len(self) * (self.index.code_size + (8 if self.probes else 0))
        return int(codes + self.columns.nbytes() + self.rows.nbytes)

    def kind(self) -> str:
        """For people."""
        if not self.probes:
            return "flat, exact, float32"
        return (
            f"{self.index.nlist} inverted lists, float16, {self.probes} looked into "
            f"(recall@{NEIGHBOURS} over {self.recall:.3f} on a sample)"
        )


def build(rows: Rows, vectors: Array, columns: Columns, flat_most: int = FLAT_MOST) -> Segment:
    """A segment of these vectors [n, D], by the rule above."""
    count, dim = vectors.shape
    if count <= flat_most:
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
    probes, recall = _calibrated(index, vectors, generator)
    return Segment(rows, columns, index, min(MARGIN * probes, lists), recall, count)


def kept(each: Segment, keep: Mask) -> Segment:
    """Those clips of it only."""
    return build(each.rows[keep], each.vectors()[keep], each.columns.kept(keep))


def without(each: Segment, rows: Rows) -> Segment:
    """All but the clips of those numbers."""
    drop = each.among(rows)
    return kept(each, ~drop) if drop.any() else each


def joined(each: Segment, rows: Rows, vectors: Array, columns: Columns) -> Segment:
    """Its clips and others after them."""
    return build(
        np.concatenate([each.rows, rows]),
        np.concatenate([each.vectors(), vectors]),
        each.columns.joined(columns),
    )


def extended(old: Segment, gone: Mask, more: Segment) -> Segment:
    """Without the clips that have gone and with more of them, in the lists that `old` has."""
    index = faiss.clone_index(old.index)
    keep = ~gone
    if gone.any():
        _drop(index, gone)
    index.add(more.vectors())
    return Segment(
        np.concatenate([old.rows[keep], more.rows]),
        old.columns.kept(keep).joined(more.columns),
        index,
        old.probes,
        old.recall,
        old.trained_on,
    )


def _drop(index: faiss.Index, gone: Mask) -> None:
    """Take positions out of the lists and close the gaps in the numbering of the rest."""
    index.remove_ids(faiss.IDSelectorBitmap(np.packbits(gone, bitorder="little")))
    moved = np.cumsum(~gone, dtype=np.int64) - 1
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            own = faiss.rev_swig_ptr(index.invlists.get_ids(number), size)
            own[:] = moved[own]
    index.ntotal = int(np.count_nonzero(~gone))


def _calibrated(
    index: faiss.Index, vectors: Array, generator: np.random.Generator
) -> tuple[int, float]:
    """Fewest lists to look into for RECALL on a sample, and the recall.

    Half of the queries lie near a vector, half between two, where words' vectors lie.
    """
    picked = vectors[generator.choice(len(vectors), 3 * SAMPLE // 2, replace=False)]
    near, one, other = np.split(picked, 3)
    noise = generator.standard_normal(near.shape) * FAR / math.sqrt(near.shape[1])
    queries = np.concatenate([near + noise, one + other]).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, exact = faiss.knn(queries, vectors, NEIGHBOURS, metric=faiss.METRIC_INNER_PRODUCT)
    probes, recall = 1, 0.0
    while True:
        parameters = faiss.SearchParametersIVF(nprobe=probes)
        _, found = index.search(queries, NEIGHBOURS, params=parameters)
        hits = [np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)]
        recall = float(np.mean(hits))
        if recall >= RECALL or probes >= index.nlist:
            return probes, recall
        probes = min(2 * probes, index.nlist)
