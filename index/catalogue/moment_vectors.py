"""Windows of a long sound → vectors that are near to a query where something stands out of it.

A window of ten minutes of rain with a bark in it is near to "rain", as all of them are, and hardly
nearer to "bark" than other windows are by chance. So what the windows have in common is taken off
them, and directions in which they vary anyway count less (whitening, as in linear discriminant
analysis). Axes: W = windows of a sound, D = shared dimension.

    row = SCALE · W^(−1/4) · √t · (S + RIDGE · t · I)⁻¹ (window − mean of the windows)

S is the covariance of the windows, and t the mean of its diagonal. PRIOR windows that spread alike
in all directions are added to S: a few windows tell little of how a sound varies. The factors bring
inner products of queries with rows to the scale of their cosines with short sounds, whatever the
length of the sound: of other sounds than what was asked for, 1 % are above 0.2, by the best row of
15 seconds, ten minutes or an hour, as by the vector of a short clip (with the starter model).
"""

from __future__ import annotations

import math

import numpy as np

from earmark.model.core.arrays import Array

RIDGE = 4.0
PRIOR, PRIOR_SPREAD = 50, 0.6  # windows, and the trace of their covariance
SCALE = 0.95
TOLERANCE = 1e-4  # of the equations that `moment_scores` solves


def moment_vectors(windows: Array) -> Array:
    """Unit vectors [W, D] of all windows of a sound → rows [W, D] of an index; 0 where all windows
    are the same."""
    count, dim = windows.shape
    if not count:
        return windows
    apart, ridge, scale = _apart(windows.astype(np.float64))
    # (S + ridge · I)⁻¹ of rows, by the smaller of the two matrices that give the same.
    if count < dim:
        inner = apart @ apart.T / (count + PRIOR) + ridge * np.eye(count)
        rows = np.linalg.solve(inner, apart)
    else:
        inner = apart.T @ apart / (count + PRIOR) + ridge * np.eye(dim)
        rows = np.linalg.solve(inner, apart.T).T
    return np.asarray(scale * rows, np.float32)


def moment_scores(windows: Array, query: Array) -> Array:
    """`moment_vectors(windows) @ query` [W], to about 1e-4 and without the rows: by conjugate
    gradients, in some milliseconds for an hour."""
    if not len(windows):
        return np.zeros(0, np.float32)
    apart, ridge, scale = _apart(windows)
    weight = np.float32(1 / (len(windows) + PRIOR))
    solution = np.zeros_like(query)
    residual = direction = query
    left = enough = float(query @ query)
    while left > TOLERANCE**2 * enough:
        turned = weight * ((apart @ direction) @ apart) + np.float32(ridge) * direction
        step = np.float32(left / float(direction @ turned))
        solution, residual = solution + step * direction, residual - step * turned
        before, left = left, float(residual @ residual)
        direction = residual + np.float32(left / before) * direction
    return np.asarray(np.float32(scale) * (apart @ solution), np.float32)


def _apart(windows: Array) -> tuple[Array, float, float]:
    """(windows [W, D] without their mean, what the diagonal of S + RIDGE · t · I has besides their
    own covariance, the factor of the rows)."""
    count, dim = windows.shape
    apart = windows - windows.mean(axis=0)
    prior = PRIOR * PRIOR_SPREAD / ((count + PRIOR) * dim)
    spread = float(np.vdot(apart, apart)) / ((count + PRIOR) * dim) + prior
    return apart, RIDGE * spread + prior, SCALE * count**-0.25 * math.sqrt(spread)
