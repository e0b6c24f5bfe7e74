"""Both rankings of many searches at once, where all vectors are compared one by one.

One product of matrices gives the cosines of all searches with all clips, and both rankings are cut
from it: searches that come together cost less than half of what each would alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from earmark.index.lexical.expansion import Others
from earmark.index.stores.base import Candidates, Wanted
from earmark.index.stores.columns import Mask
from earmark.index.stores.faiss.segment import Segment
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows

Places = npt.NDArray[np.int64]


def candidates(
    segments: Sequence[Segment],
    masks: Callable[[Filter], Sequence[Mask | None]],
    weights: Callable[[Sequence[str], Others], Mapping[str, float]],
    wanted: Sequence[Wanted],
    most: int,
) -> list[Candidates]:
    """See `VectorStore.candidates`. `masks`: of each segment, which clips may be found;
    `weights`: of words and of those that may stand for them."""
    rows = np.concatenate([each.rows for each in segments])
    cosines = _cosines(segments, wanted)
    found = []
    known: dict[Filter, Mask | None] = {}
    for each, own in zip(wanted, cosines, strict=True):
        if each.where not in known:
            known[each.where] = _joined(segments, masks(each.where))
        mask = known[each.where]
        near = np.zeros(0, np.int64) if own is None else _nearest(own, rows, mask, most)
        weighed = weights(each.words, each.related)
        share = _shares(segments, weighed, mask)
        holding = np.zeros(0, np.int64)
        if share is not None:
            holding = _holding(share, own, rows, most)
        found.append(
            Candidates(
                rows[near],
                np.zeros(0, np.float32) if own is None else own[near],
                rows[holding],
                np.zeros(0, np.float32) if share is None else np.minimum(share[holding], 1),
                None if own is None else own[holding],
                weighed,
            )
        )
    return found


def _cosines(segments: Sequence[Segment], wanted: Sequence[Wanted]) -> list[Array | None]:
    """For each search its cosines with all clips [n]; None where it has no vector."""
    vectors = [each.vector for each in wanted if each.vector is not None]
    if not vectors:
        return [None] * len(wanted)
    queries = torch.from_numpy(np.stack(vectors))
    parts = [torch.mm(queries, torch.from_numpy(each.matrix).T) for each in segments]
    whole = iter(torch.cat(parts, dim=1).numpy())
    return [None if each.vector is None else next(whole) for each in wanted]


def _joined(segments: Sequence[Segment], masks: Sequence[Mask | None]) -> Mask | None:
    """The masks as one; None where all pass."""
    if all(each is None for each in masks):
        return None
    return np.concatenate(
        [
            np.ones(len(segment), np.bool_) if mask is None else mask
            for segment, mask in zip(segments, masks, strict=True)
        ]
    )


def _nearest(cosines: Array, rows: Rows, mask: Mask | None, most: int) -> Places:
    """Places of the nearest, best first; equal ones in the order of their rows."""
    own = cosines if mask is None else np.where(mask, cosines, -np.inf)
    count = len(own) if mask is None else int(np.count_nonzero(mask))
    if count > most:
        least = np.partition(own, len(own) - most)[len(own) - most]
        places = np.flatnonzero(own >= least)
    else:
        places = np.flatnonzero(own > -np.inf)
    return places[np.lexsort((rows[places], -own[places]))][:most]


def _shares(
    segments: Sequence[Segment], weights: Mapping[str, float], mask: Mask | None
) -> Array | None:
    """[n], how much of the words each clip holds; None where nobody holds any."""
    if not weights:
        return None
    shares = np.concatenate([each.columns.matching(weights) for each in segments])
    if mask is not None:
        shares[~mask] = 0
    return shares


def _holding(shares: Array, cosines: Array | None, rows: Rows, most: int) -> Places:
    """Places of those that hold most, best first; equal ones by nearness, then by row."""
    last = np.partition(shares, len(shares) - most)[len(shares) - most] if len(shares) > most else 0
    if not last:
        places = np.flatnonzero(shares > 0)
    else:
        above, equal = np.flatnonzero(shares > last), np.flatnonzero(shares == last)
        some = most - len(above)
        if len(equal) > some:
            if cosines is None:
                equal = equal[np.argsort(rows[equal], kind="stable")[:some]]
            else:
                near = cosines[equal]
                least = np.partition(near, len(near) - some)[len(near) - some]
                equal = equal[near >= least]
        places = np.concatenate([above, equal])
    far = np.zeros(len(places), np.float32) if cosines is None else -cosines[places]
    return places[np.lexsort((rows[places], far, -shares[places]))][:most]
