"""How labels score sounds at large: cosines → standard scores.

A label's cosines with the training sounds have a mean and a deviation of their own: "music" is near
to much, "sneeze" to little. Which of several labels fits a sound best is told by how far its cosine
stands above what the label scores at large. Axes: n = labels, D = shared dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earmark.model.core.arrays import Array

MIN_DEVIATION = 1e-3  # of a label's cosines


@dataclass(frozen=True)
class Background:
    """Mean [D] and covariance [D, D] of the unit vectors of sounds at large."""

    mean: Array
    covariance: Array

    @classmethod
    def of(cls, sounds: Array) -> Background:
        """Of unit vectors [sounds, D]."""
        exact = sounds.astype(np.float64)
        mean = exact.mean(axis=0)
        covariance = exact.T @ exact / len(exact) - np.outer(mean, mean)
        return cls(mean.astype(np.float32), covariance.astype(np.float32))

    def moments(self, labels: Array) -> tuple[Array, Array]:
        """(mean [n], deviation [n]) of the cosines of labels [n, D] with sounds at large."""
        variances = np.einsum("nd,de,ne->n", labels, self.covariance, labels, optimize=True)
        deviations = np.sqrt(np.maximum(variances, MIN_DEVIATION**2))
        return labels @ self.mean, np.asarray(deviations, dtype=np.float32)

    def standard_scores(self, labels: Array, sound: Array) -> Array:
        """Standard scores [n] of labels [n, D] for a sound [D]."""
        mean, deviation = self.moments(labels)
        return np.asarray((labels @ sound - mean) / deviation, dtype=np.float32)
