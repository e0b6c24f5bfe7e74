"""Labelled sounds → a linear classifier on the model's vectors: a sound that people teach.

A regularised logistic regression on unit vectors that the library keeps, so that ranking a library
is one search by a vector. What few labels do not tell comes from three sides: the words of the
sound's name are where the weights start (a Gaussian prior, whose strength along the words the
labels decide); a sample of the library counts as weak negatives, as most of it is another sound;
and directions in which the library varies anyway count less (whitening with a ridge, as in linear
discriminant analysis). Axes: n = labelled sounds, m = sounds of the library, D = shared dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.calibration import sigmoid
from earmark.model.core.arrays import Array, Floats

# Chosen by `tests.benchmarks.bench_teach`.
RIDGE = 10.0  # of the mean variance of a direction
PENALTY = 0.05  # of weights, where whitened vectors have length 1 in the mean
WORDS, WORDS_PENALTY = 1.0, 1.0  # weight of the standard score by words before labels, and penalty
WEAK, WEAK_WEIGHT = 200, 0.1  # sounds of the library, and their weight beside that of all labels
BIAS = -3.0  # before labels: most sounds are others
LEAST_VARIANCE = 1e-4  # of a direction, in libraries whose sounds are all alike
STEPS, PRECISION = 20, 1e-4  # of Newton's method

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LinearClassifier:
    """Says of unit vectors how probable it is that they are of one sound: the logistic function of
    `vector` [D] · x + `bias`."""

    vector: Array
    bias: float

    @property
    def scale(self) -> float:
        """The length of its vector, never 0."""
        return max(float(np.linalg.norm(self.vector)), 1e-12)

    @property
    def direction(self) -> Array:
        """The unit vector [D] to search by: the logit is `scale` · cosine + `bias`."""
        return np.asarray(self.vector / self.scale, np.float32)

    def logits(self, vectors: Array) -> Floats:
        """Vectors [..., D] → [...]."""
        return np.asarray(vectors @ self.vector, np.float64) + self.bias

    def probabilities(self, vectors: Array) -> Floats:
        """Vectors [..., D] → [...]."""
        return sigmoid(self.logits(vectors))


@dataclass(frozen=True)
class Whitening:
    """How the sounds of a library vary: their `mean` [D], and the `matrix` [D, D] that makes them
    vary alike in all directions, to a mean length of 1. `alike`: 0, up to 1 where they vary less
    than sounds do: then that length is, in part, of vectors that are 1 apart."""

    mean: Floats
    matrix: Floats
    alike: float

    @classmethod
    def of(cls, sounds: Array) -> Whitening:
        """Of unit vectors [m, D], m ≥ 1."""
        exact = sounds.astype(np.float64)
        mean = exact.mean(axis=0)
        apart = exact - mean
        covariance = apart.T @ apart / len(apart)
        spread, dim = float(np.trace(covariance)) / len(mean), len(mean)
        variance = max(spread, LEAST_VARIANCE)
        alike = 1 - spread / variance
        values, axes = np.linalg.eigh(covariance + RIDGE * variance * np.eye(dim))
        matrix = (axes * values**-0.5) @ axes.T
        squares = float(((apart @ matrix) ** 2).sum(axis=1).mean()) + alike / (RIDGE * variance)
        return cls(mean, matrix / squares**0.5, alike)

    def apply(self, vectors: Array) -> Floats:
        """Vectors [n, D] → whitened [n, D]."""
        return np.asarray((vectors.astype(np.float64) - self.mean) @ self.matrix)


class Teacher:
    """Fits classifiers in one library. `sounds` [m, D]: a sample of its unit vectors, in an order
    that is by chance; `start`: the vector [D] that the sound's words have, or a classifier's that
    was fitted elsewhere; None for none."""

    def __init__(self, sounds: Array, start: Array | None = None) -> None:
        self._whitening = Whitening.of(sounds)
        white = self._whitening.apply(sounds)
        self._weak = white[:WEAK]
        self._words: Floats | None = None
        if start is not None:
            words = np.linalg.solve(self._whitening.matrix, start.astype(np.float64))
            variance = float((white @ words).var())
            variance += self._whitening.alike * float(words @ words) / len(words)
            self._words = np.asarray(words / max(variance**0.5, 1e-6), np.float64)

    def fit(self, vectors: Array, right: Bools) -> LinearClassifier:
        """A classifier of labelled sounds [n, D]; `right` [n]: whether each is the sound.

        Without labels it is what the words alone tell.
        """
        white, weights = self._whitening.apply(vectors), np.ones(len(vectors))
        positives = int(right.sum())
        if 0 < positives < len(right):  # both sides count as much
            weights[right] = len(right) / 2 / positives
            weights[~right] = len(right) / 2 / (len(right) - positives)
        weak = np.full(len(self._weak), WEAK_WEIGHT * max(len(right), 1) / len(self._weak))
        rows = np.concatenate([white, self._weak]) / PENALTY**0.5
        start = np.zeros(rows.shape[1] + 1)
        if self._words is not None:
            along = rows @ self._words * (PENALTY / WORDS_PENALTY) ** 0.5
            rows = np.column_stack([rows, along])
            start = np.append(start[:-1], [WORDS * WORDS_PENALTY**0.5, 0.0])
        start[-1] = BIAS
        truth = np.concatenate([right, np.zeros(len(weak), np.bool_)])
        found = logistic(rows, truth, np.concatenate([weights, weak]), start)
        dim = white.shape[1]
        white_vector = found[:dim] / PENALTY**0.5
        if self._words is not None:
            white_vector = white_vector + found[dim] / WORDS_PENALTY**0.5 * self._words
        vector = self._whitening.matrix @ white_vector
        bias = float(found[-1] - self._whitening.mean @ vector)
        return LinearClassifier(vector.astype(np.float32), bias)


def logistic(rows: Floats, truth: Bools, weights: Floats, start: Floats) -> Floats:
    """Weights and, last, the bias of a logistic regression on rows [n, d], by Newton's method.

    Minimises the weighted log loss and half the squared distance of the weights from `start`
    [d + 1]; the bias is hardly held.
    """
    extended = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.ones(extended.shape[1])
    penalty[-1] = 1e-3
    found = start.copy()
    loss = _loss(extended, truth, weights, penalty, start, found)
    for _ in range(STEPS):
        chances = sigmoid(extended @ found)
        gradient = extended.T @ (weights * (chances - truth)) + penalty * (found - start)
        curvature = np.maximum(weights * chances * (1 - chances), 1e-9)
        step = _newton_step(extended, curvature, penalty, gradient)
        size = 1.0
        while (new := _loss(extended, truth, weights, penalty, start, found - size * step)) > loss:
            size /= 2
            if size < 1e-6:
                return found
        found, improvement, loss = found - size * step, loss - new, new
        if improvement < PRECISION * max(abs(loss), 1e-6):
            break
    return found


def _loss(
    rows: Floats, truth: Bools, weights: Floats, penalty: Floats, start: Floats, at: Floats
) -> float:
    logits = rows @ at
    losses = np.logaddexp(0.0, np.where(truth, -logits, logits))
    return float(weights @ losses + penalty @ (at - start) ** 2 / 2)


def _newton_step(rows: Floats, curvature: Floats, penalty: Floats, gradient: Floats) -> Floats:
    """(rowsᵀ diag(curvature) rows + diag(penalty))⁻¹ gradient, by the smaller of two matrices."""
    if len(rows) >= rows.shape[1]:
        hessian = (rows * curvature[:, None]).T @ rows + np.diag(penalty)
        return np.asarray(np.linalg.solve(hessian, gradient))
    scaled = rows / penalty
    inner = scaled @ rows.T + np.diag(1 / curvature)
    return np.asarray(gradient / penalty - scaled.T @ np.linalg.solve(inner, scaled @ gradient))
