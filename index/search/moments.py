"""Where in a long sound a query is heard: windows of high cosine, merged where they touch.

Axes: W = windows. Times in seconds from the start of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip
from earmark.index.stores.base import VectorStore
from earmark.index.types import Moment
from earmark.model.core.arrays import Array

# A moment reaches as far as the cosine stays above this part of the way from the median window to
# the best one.
REACH = 0.5
TOUCHING = 0.001  # seconds: starts are computed from frames


@dataclass(frozen=True)
class MomentFinder:
    """Finds moments in clips of a library. `window_seconds`: the length of the model's windows."""

    catalogue: Catalogue
    store: VectorStore
    window_seconds: float

    def find(self, clips: Sequence[Clip], vector: Array) -> dict[int, tuple[Moment, ...]]:
        """Where clips of several windows are nearest to a vector [D], best first, by row."""
        moments = {}
        for clip in clips:
            windows = self._windows(clip.row) if clip.duration > self.window_seconds else None
            if windows is not None:
                starts, vectors = windows
                moments[clip.row] = self._merge(starts, vectors @ vector, clip.duration)
        return moments

    def _windows(self, row: int) -> tuple[npt.NDArray[np.float64], Array] | None:
        """The starts [W] and vectors [W, D] of the windows of one clip (ten hours are some 20 MB);
        None for a clip of one window, and one that has been removed."""
        vectors = self.store.windows(row)
        if vectors is not None:
            starts = self.catalogue.window_starts(row)
            if len(starts) == len(vectors):  # else the clip has changed
                return starts, vectors
        return self.catalogue.windows([row]).get(row)

    def _merge(
        self, starts: npt.NDArray[np.float64], cosines: Array, duration: float
    ) -> tuple[Moment, ...]:
        """Moments of all windows of a sound, best first. `starts` [W], ascending; their `cosines`
        [W] with the query."""
        best = float(cosines.max())
        least = best - REACH * (best - float(np.median(cosines)))
        moments: list[Moment] = []
        for number in np.flatnonzero(cosines >= least).tolist():
            start, score = float(starts[number]), float(cosines[number])
            end = max(start, min(start + self.window_seconds, duration))
            if moments and start <= moments[-1].end + TOUCHING:
                last = moments[-1]
                moments[-1] = Moment(last.start, max(end, last.end), max(score, last.score))
            else:
                moments.append(Moment(start, end, score))
        return tuple(sorted(moments, key=lambda moment: (-moment.score, moment.start)))
