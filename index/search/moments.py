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

# A moment reaches as far as the cosine stays above this part of the way from the sound at large to
# the best window.
REACH = 0.5
MANY_WINDOWS = 1_000  # of sounds of more, only the nearest windows are looked at
NEAREST_WINDOWS = 64
TOUCHING = 0.001  # seconds: starts are computed from frames


@dataclass(frozen=True)
class MomentFinder:
    """Finds moments in clips of a library. `window_seconds`: the length of the model's windows."""

    catalogue: Catalogue
    store: VectorStore
    window_seconds: float

    def find(self, clips: Sequence[Clip], vector: Array) -> dict[int, tuple[Moment, ...]]:
        """Where clips of several windows are nearest to a vector [D], best first, by row."""
        long = {clip.row: clip for clip in clips if clip.duration > self.window_seconds}
        limit = MANY_WINDOWS * self.window_seconds
        moments = {
            row: found
            for row, clip in long.items()
            if clip.duration > limit and (found := self._of_hours(clip, vector))
        }
        rows = [row for row in long if row not in moments]
        windows = self.catalogue.windows(rows) if rows else {}
        for row, (starts, vectors) in windows.items():
            cosines = vectors @ vector
            level = float(np.median(cosines))
            moments[row] = self._merge(starts, cosines, level, long[row].duration)
        return moments

    def _of_hours(self, clip: Clip, vector: Array) -> tuple[Moment, ...]:
        """The moments of a clip of very many windows, by those nearest to a vector; none where the
        store does not know them."""
        numbers, cosines = self.store.nearest_windows(vector, clip.row, NEAREST_WINDOWS)
        own, starts = self.catalogue.vector(clip.row), self.catalogue.window_starts(clip.row)
        if own is None or not len(numbers) or numbers.max() >= len(starts):
            return ()
        order = np.argsort(numbers)
        return self._merge(
            starts[numbers[order]], cosines[order], float(own @ vector), clip.duration
        )

    def _merge(
        self, starts: npt.NDArray[np.float64], cosines: Array, level: float, duration: float
    ) -> tuple[Moment, ...]:
        """Moments of windows, best first. `starts` [W], ascending; their `cosines` [W] with the
        query; `level`: the cosine of the sound at large."""
        best = float(cosines.max())
        least = best - REACH * max(0.0, best - level)
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
