"""Array types of all packages: Array is float32, Rows are int64 row numbers, Floats are float64.

And which row numbers are among others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def are_among(rows: Rows, ascending: Rows) -> npt.NDArray[np.bool_]:
    """Whether each of rows [n] is one of `ascending` [m]: fast where few are asked of many."""
    places = np.searchsorted(ascending, rows)
    found = places < len(ascending)
    found[found] = ascending[places[found]] == rows[found]
    return found
