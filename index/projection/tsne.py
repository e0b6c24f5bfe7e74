"""A two-dimensional layout of vectors: similar vectors lie near each other.

Conventions: vectors are unit float32 [n, D]; positions are float32 [n, 2] in the layout's own
units, and `Frame.normalise` brings them to 0..1. The same vectors and start give the same
positions, in one thread.

The layout is scikit-learn's t-SNE (Barnes-Hut), started from the two main directions (PCA), or from
earlier positions: then it changes little, so that a map that its user knows stays recognisable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array

PERPLEXITY = 30.0  # about how many neighbours count
MAX_EXACT = 8  # vectors; up to this many the PCA layout is final
SETTLING_STEPS = 250  # from earlier positions
EXAGGERATION = 12.0
NEIGHBOURS = 5  # that decide the position of a new vector
BLOCK = 1_024  # vectors compared at a time
MARGIN = 0.03  # share of the frame that stays free at each edge
MIN_FILL = 0.75  # share of the frame that positions must fill for it to be kept


@dataclass(frozen=True)
class Frame:
    """A square around positions: its centre and the length of its sides."""

    x: float
    y: float
    side: float

    @staticmethod
    def around(positions: Array) -> Frame:
        """The smallest frame around positions, with a margin."""
        if not len(positions):
            return Frame(0.0, 0.0, 1.0)
        low, high = positions.min(axis=0), positions.max(axis=0)
        x, y = ((low + high) / 2).tolist()
        side = float((high - low).max()) / (1 - 2 * MARGIN)
        return Frame(x, y, side or 1.0)

    def normalise(self, positions: Array) -> Array:
        """Positions in 0..1; those outside the frame move to its edge."""
        moved = (positions - np.array([self.x, self.y], np.float32)) / np.float32(self.side)
        return np.asarray(np.clip(moved + np.float32(0.5), 0, 1), np.float32)

    def updated_for(self, positions: Array) -> Frame:
        """This frame while it fits the positions, so that they need not move; else the smallest."""
        smallest = Frame.around(positions)
        offset, filled = max(abs(smallest.x - self.x), abs(smallest.y - self.y)), 1 - 2 * MARGIN
        inside = offset + smallest.side * filled / 2 <= self.side / 2
        return self if inside and smallest.side >= MIN_FILL * self.side else smallest


def pca_layout(vectors: Array) -> Array:
    """Positions by the two main directions. The larger spread is 1, or 0 if all are equal."""
    if not len(vectors):
        return np.zeros((0, 2), np.float32)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, directions = np.linalg.eigh(centred.T @ centred / len(vectors))
    main = directions[:, :-3:-1]
    if main.shape[1] < 2:
        main = np.pad(main, ((0, 0), (0, 2 - main.shape[1])))
    # A direction's sign is arbitrary: the largest component of each becomes positive.
    largest = main[np.abs(main).argmax(axis=0), range(2)]
    positions = centred @ (main * np.where(largest < 0, -1.0, 1.0))
    spread = float(values[-1]) ** 0.5 if values[-1] > 1e-12 else 0.0
    return np.asarray(positions / spread if spread else np.zeros_like(positions), np.float32)


def lay_out(vectors: Array, start: Array | None = None) -> Array:
    """Positions by t-SNE. `start`: positions that already suit most of the vectors."""
    initial = pca_layout(vectors)
    if len(vectors) <= MAX_EXACT or not initial.any():
        return initial
    from sklearn.manifold import TSNE

    n = len(vectors)
    fitted = TSNE(
        perplexity=min(PERPLEXITY, (n - 1) / 3),
        init=initial * np.float32(1e-4) if start is None else start,
        early_exaggeration=EXAGGERATION if start is None else 1.0,
        learning_rate=max(n / EXAGGERATION / 4, 50.0),
        max_iter=1_000 if start is None else SETTLING_STEPS,
        metric="sqeuclidean",  # of unit vectors: the same neighbours as by cosine
        random_state=0,
        n_jobs=1,
    ).fit_transform(vectors)
    positions = np.asarray(fitted, np.float32)
    return positions if start is None else _align(positions, start)


def place_near_similar(vectors: Array, known_vectors: Array, known_positions: Array) -> Array:
    """Positions [m, 2] for new vectors [m, D]: near the most similar of the known ones [n, D]."""
    positions = np.zeros((len(vectors), 2), np.float32)
    count = min(NEIGHBOURS, len(known_vectors))
    if not count:
        return positions
    for begin in range(0, len(vectors), BLOCK):
        cosines = vectors[begin : begin + BLOCK] @ known_vectors.T
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        similarity = np.take_along_axis(cosines, nearest, axis=1)
        # A plain mean would often lie where no neighbour is: the most similar weighs most.
        weights = np.exp(20 * (similarity - similarity.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        weighted = weights[..., None] * known_positions[nearest]
        positions[begin : begin + BLOCK] = weighted.sum(axis=1)
    return positions


def _align(positions: Array, reference: Array) -> Array:
    """Positions rotated and moved, not scaled, as near to the reference as can be (Procrustes)."""
    centre, target = positions.mean(axis=0), reference.mean(axis=0)
    left, _, right = np.linalg.svd((positions - centre).T.astype(np.float64) @ (reference - target))
    return np.asarray((positions - centre) @ (left @ right) + target, np.float32)


def vector_hashes(vectors: Array) -> npt.NDArray[np.uint64]:
    """A hash of each vector [n], to notice changed vectors."""
    weights = np.random.default_rng(0).integers(1, 2**63, vectors.shape[1], dtype=np.uint64)
    bits = np.ascontiguousarray(vectors, np.float32).view(np.uint32).astype(np.uint64)
    return np.asarray((bits * (weights | np.uint64(1))).sum(axis=1), np.uint64)
