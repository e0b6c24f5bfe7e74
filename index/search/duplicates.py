"""Near-duplicates among hits: takes of one footstep, copies of one recording.

Two sounds are near-duplicates where their vectors are as near as 0.99. Of sounds of several windows
the vectors are means, which are near to those of any other sound of that kind: there all windows
must be as near, one by one. W = windows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.search.clip_cache import ClipCache
from earmark.index.search.fusion import FusedHit
from earmark.model.core.arrays import Array

DUPLICATE_COSINE = 0.99
COMPARED_WINDOWS = 16  # of two sounds, evenly spread


def fold_duplicates(
    ranking: Sequence[FusedHit], clips: ClipCache, catalogue: Catalogue, window_seconds: float
) -> list[FusedHit]:
    """The ranking with each near-duplicate listed with the first of its kind, and without clips
    that have been removed. `window_seconds`: of the model."""

    def are_alike(one: int, other: int) -> bool:
        durations = [cached.clip.duration for cached in clips.get([one, other]).values()]
        if max(durations, default=0.0) <= window_seconds:
            return True
        if max(durations) - min(durations) > window_seconds:
            return False
        windows = catalogue.windows([one, other])
        return _agree(*(windows[row][1] if row in windows else None for row in (one, other)))

    vectors = catalogue.vectors([fused.row for fused in ranking])
    distinct: list[FusedHit] = []
    duplicates: list[list[int]] = []
    matrix = np.empty((len(vectors), len(next(iter(vectors.values()), ()))), np.float32)
    for fused in ranking:
        vector = vectors.get(fused.row)
        if vector is None:
            continue
        cosines = matrix[: len(distinct)] @ vector
        best = int(cosines.argmax()) if distinct else -1
        is_near = bool(distinct) and cosines[best] >= DUPLICATE_COSINE
        if is_near and are_alike(distinct[best].row, fused.row):
            duplicates[best].append(fused.row)
        else:
            matrix[len(distinct)] = vector
            distinct.append(fused)
            duplicates.append([])
    return [
        fused._replace(duplicates=tuple(rows))
        for fused, rows in zip(distinct, duplicates, strict=True)
    ]


def _agree(one: Array | None, other: Array | None) -> bool:
    """Whether the windows [W, D] of two sounds are near, one by one. Where one has a window more,
    the last of both lie elsewhere."""
    if one is None or other is None:
        return one is other
    count = min(len(one), len(other)) - (len(one) != len(other))
    if abs(len(one) - len(other)) > 1 or count < 1:
        return False
    places = np.unique(np.linspace(0, count - 1, COMPARED_WINDOWS).astype(int))
    cosines = np.einsum("wd,wd->w", one[places], other[places])
    return bool(cosines.min() >= DUPLICATE_COSINE)
