"""Where in a long sound a query is heard: windows of high score, merged where they touch.

Axes: W = windows. Times in seconds from the start of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.moment_vectors import moment_vectors
from earmark.index.catalogue.records import Clip
from earmark.index.stores.base import VectorStore
from earmark.index.types import Moment
from earmark.model.core.arrays import Array

# A moment reaches as far as the score stays above this part of the way from the median window to
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
        long = [clip for clip in clips if clip.duration > self.window_seconds]
        own = self.catalogue.vectors([clip.row for clip in long]) if long else {}
        moments = {}
        for clip in long:
            if clip.row in own:
                found = self._scores(clip.row, vector, float(own[clip.row] @ vector))
                if found is not None:
                    moments[clip.row] = self._merge(*found, clip.duration)
        return moments

    def _scores(
        self, row: int, vector: Array, own: float
    ) -> tuple[npt.NDArray[np.float64], Array] | None:
        """The starts [W] of the windows of one clip and their scores [W]; None for a clip of one
        window, and one that has been removed.

        By what stands out (`index.catalogue.moment_vectors`), unless the clip as a whole is nearer
        to the query, with the cosine `own`: then by the cosines of the windows.
        """
        scores = self.store.window_scores(vector, row)
        if scores is not None and scores.max() > own:
            starts = self.catalogue.window_starts(row)
            if len(starts) == len(scores):  # else the clip has changed
                return starts, scores
        windows = self.catalogue.windows([row]).get(row)
        if windows is None:
            return None
        starts, vectors = windows
        if scores is None or len(scores) != len(starts):
            scores = moment_vectors(vectors) @ vector
        return starts, scores if scores.max() > own else vectors @ vector

    def _merge(
        self, starts: npt.NDArray[np.float64], scores: Array, duration: float
    ) -> tuple[Moment, ...]:
        """Moments of all windows of a sound, best first. `starts` [W], ascending; their `scores`
        [W] for the query.

        Where windows touch, the first and the last one count by as much as they score: the moment
        begins and ends within them.
        """
        exact = scores.astype(np.float64)  # their least difference is no number to divide by else
        best, level = float(exact.max()), float(np.median(exact))
        shares = (exact - level) / (best - level) if best > level else np.ones_like(exact)
        chosen = np.flatnonzero(shares >= 1 - REACH)
        apart = np.diff(starts[chosen]) > self.window_seconds + TOUCHING
        moments = []
        for run in np.split(chosen, np.flatnonzero(apart) + 1):
            first, last = int(run[0]), int(run[-1])
            start, end = float(starts[first]), float(starts[last])
            length = self.window_seconds
            if last > first:
                start += length * (1 - float(shares[first]))
                length *= float(shares[last])
            end = max(start, min(end + length, duration))
            moments.append(Moment(start, end, float(scores[run].max())))
        return tuple(sorted(moments, key=lambda moment: (-moment.score, moment.start)))
