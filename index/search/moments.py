"""Where in a long sound a query is heard: windows of high cosine, merged where they touch.

Axes: W = windows. Times in seconds from the start of the sound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earmark.index.types import Moment
from earmark.model.core.arrays import Array

# A moment reaches as far as the cosine stays above this part of the way from the sound's median
# window to the best one.
REACH = 0.5


def find_moments(
    starts: npt.NDArray[np.float64], cosines: Array, length: float, duration: float
) -> tuple[Moment, ...]:
    """The moments of a sound, best first.

    `starts` [W] of its windows, ascending, of `length` each; their `cosines` [W] with the query;
    `duration` of the sound.
    """
    best = float(cosines.max())
    level = best - REACH * (best - float(np.median(cosines)))
    moments: list[Moment] = []
    for number in np.flatnonzero(cosines >= level).tolist():
        start, score = float(starts[number]), float(cosines[number])
        end = min(start + length, duration)
        if moments and start <= moments[-1].end:
            last = moments[-1]
            moments[-1] = Moment(last.start, max(end, last.end), max(score, last.score))
        else:
            moments.append(Moment(start, max(end, start), score))
    return tuple(sorted(moments, key=lambda moment: (-moment.score, moment.start)))
