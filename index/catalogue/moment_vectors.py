"""Windows of a long sound → vectors that are near to a query where something stands out of it.

A window of ten minutes of rain with a bark in it is near to "rain", as all of them are, and hardly
nearer to "bark" than other windows are by chance. So what a window has in common with the others is
taken off it, and directions in which these vary anyway count less (whitening, as in linear
discriminant analysis). A few windows tell little of what is usual in a sound: the fewer there are,
the more they count as they are. Axes: W = windows of a sound, D = shared dimension.

    row = f · window + (1 − f) · s · √t · (S + RIDGE · t · I)⁻¹ (window − mean of the others)
    f = FEW / (FEW + W),  s = SCALE · (1 + W / MANY)^(−1/5)

S is the covariance of the other windows and of PRIOR windows more, which spread alike in all
directions; t is the mean of the diagonal of the covariance of all. s brings inner products with
queries to the scale of the cosines of short sounds, whatever the length: of other sounds than what
is asked for, 1 % are above about 0.2, be it the vector of a short clip or the best row of a quarter
of a minute, of ten minutes or of an hour (with the starter model).
"""

from __future__ import annotations

import numpy as np

from earmark.model.core.arrays import Array

RIDGE = 4.0
PRIOR, PRIOR_SPREAD = 50, 0.6  # windows, and the trace of their covariance
FEW, MANY = 20, 200  # windows
SCALE = 0.245


def moment_vectors(windows: Array) -> Array:
    """Unit vectors [W, D] of all windows of a sound → rows [W, D] of an index."""
    count, dim = windows.shape
    if count < 2:
        return windows
    apart = (windows - windows.mean(axis=0)).astype(np.float64) * (count / (count - 1))
    size = count + PRIOR
    spread = (float(np.vdot(apart, apart)) + PRIOR * PRIOR_SPREAD) / (size * dim)
    ridge = RIDGE * spread + PRIOR * PRIOR_SPREAD / (size * dim)
    # Rows times the inverse of covariance and ridge, by the smaller of two matrices that give it.
    if count < dim:
        rows = np.linalg.solve(apart @ apart.T / size + ridge * np.eye(count), apart)
    else:
        rows = np.linalg.solve(apart.T @ apart / size + ridge * np.eye(dim), apart.T).T
    rows /= 1 - np.einsum("wd,wd->w", rows, apart)[:, None] / size  # each without itself
    rows *= SCALE * (1 + count / MANY) ** -0.2 * spread**0.5
    return np.asarray((FEW * windows + count * rows) / (FEW + count), np.float32)
