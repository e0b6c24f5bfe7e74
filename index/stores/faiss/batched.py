"""Candidates of a batch of requests, where all vectors are compared one by one.

One matrix product gives the cosines of all requests with all clips, and both rankings are cut from
it: a batch costs less than half of what its requests would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from earmark.index.lexical.expansion import RelatedByStem
from earmark.index.stores.columns import Mask
from earmark.index.stores.faiss.segment import Segment
from earmark.index.types import Candidates, Filter, SearchRequest
from earmark.model.core.arrays import Array, Rows

Positions = npt.NDArray[np.int64]


def candidates(
    segments: Sequence[Segment],
    masks: Callable[[Filter], Sequence[Mask | None]],
    weights: Callable[[Sequence[str], RelatedByStem], Mapping[str, float]],
    requests: Sequence[SearchRequest],
    limit: int,
) -> list[Candidates]:
    """See `VectorStore.candidates`. `masks`: of each segment, which clips pass a filter (None:
    all); `weights`: of words and of their related words."""
    rows = np.concatenate([segment.rows for segment in segments])
    found = []
    mask_of: dict[Filter, Mask | None] = {}
    for request, cosines in zip(requests, _cosines(segments, requests), strict=True):
        if request.where not in mask_of:
            mask_of[request.where] = _concatenated(segments, masks(request.where))
        mask = mask_of[request.where]
        nearest = np.zeros(0, np.int64)
        if cosines is not None:
            nearest = _nearest(cosines, rows, mask, limit)
        weighted = weights(tuple(request.stems), request.related)
        shares = _shares(segments, weighted, mask)
        matching = np.zeros(0, np.int64)
        if shares is not None:
            matching = _matching(shares, cosines, rows, limit)
        found.append(
            Candidates(
                rows[nearest],
                np.zeros(0, np.float32) if cosines is None else cosines[nearest],
                rows[matching],
                np.zeros(0, np.float32) if shares is None else np.minimum(shares[matching], 1),
                None if cosines is None else cosines[matching],
                weighted,
            )
        )
    return found


def _cosines(segments: Sequence[Segment], requests: Sequence[SearchRequest]) -> list[Array | None]:
    """Of each request its cosines with all clips [n], of the nearest vector of each; None where it
    has no vector."""
    vectors = [request.vector for request in requests if request.vector is not None]
    if not vectors:
        return [None] * len(requests)
    queries = np.stack(vectors).T
    parts = []
    for segment in segments:
        # This way round BLAS takes half the time.
        part = np.ascontiguousarray((segment.matrix @ queries).T)
        if segment.has_windows:
            part = np.maximum.reduceat(part, segment.starts, axis=1)
        parts.append(part)
    cosines = iter(np.concatenate(parts, axis=1))
    return [None if request.vector is None else next(cosines) for request in requests]


def _concatenated(segments: Sequence[Segment], masks: Sequence[Mask | None]) -> Mask | None:
    """The segments' masks as one; None where all clips pass."""
    if all(mask is None for mask in masks):
        return None
    return np.concatenate(
        [
            np.ones(len(segment), np.bool_) if mask is None else mask
            for segment, mask in zip(segments, masks, strict=True)
        ]
    )


def _nearest(cosines: Array, rows: Rows, mask: Mask | None, limit: int) -> Positions:
    """Positions of the nearest clips, best first; equal cosines ordered by row."""
    passing = cosines if mask is None else np.where(mask, cosines, -np.inf)
    count = len(passing) if mask is None else int(np.count_nonzero(mask))
    if count > limit:
        threshold = np.partition(passing, len(passing) - limit)[len(passing) - limit]
        positions = np.flatnonzero(passing >= threshold)
    else:
        positions = np.flatnonzero(passing > -np.inf)
    return positions[np.lexsort((rows[positions], -passing[positions]))][:limit]


def _shares(
    segments: Sequence[Segment], weights: Mapping[str, float], mask: Mask | None
) -> Array | None:
    """[n], the share of the words' weight that each clip holds; None where no clip holds any."""
    if not weights:
        return None
    shares = np.concatenate([segment.columns.word_shares(weights) for segment in segments])
    if mask is not None:
        shares[~mask] = 0
    return shares


def _matching(shares: Array, cosines: Array | None, rows: Rows, limit: int) -> Positions:
    """Positions of the clips of the largest shares, best first; equal ones by nearness, then row.

    Of the clips that tie for the last places only the nearest are sorted.
    """
    last = np.float32(0)
    if len(shares) > limit:
        last = np.partition(shares, len(shares) - limit)[len(shares) - limit]
    if not last:
        positions = np.flatnonzero(shares > 0)
    else:
        above, tied = np.flatnonzero(shares > last), np.flatnonzero(shares == last)
        places = limit - len(above)
        if len(tied) > places:
            if cosines is None:
                tied = tied[np.argsort(rows[tied], kind="stable")[:places]]
            else:
                near = cosines[tied]
                threshold = np.partition(near, len(near) - places)[len(near) - places]
                tied = tied[near >= threshold]
        positions = np.concatenate([above, tied])
    distance = np.zeros(len(positions), np.float32) if cosines is None else -cosines[positions]
    return positions[np.lexsort((rows[positions], distance, -shares[positions]))][:limit]
