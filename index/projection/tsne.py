"""A two-dimensional picture of vectors: those that are alike lie near to each other.

Conventions: vectors are unit float32 [n, D], places float32 [n, 2] in units of the layout's own
(`framed` brings them to 0..1). The same vectors and start give the same places, in one thread.

The layout is scikit-learn's t-SNE (Barnes-Hut), from the vectors' two main directions or, where
most of them had places before, from those: then it only settles, and nothing jumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array

PERPLEXITY = 30.0  # neighbours that count
MAX_EXACT = 8  # vectors, up to which their main directions are the picture
SETTLING_STEPS = 250  # steps from places that were good before
EXAGGERATION = 12.0
NEIGHBOURS = 5  # beside which a new one is put
BLOCK = 1_024  # vectors compared at a time
MARGIN = 0.03  # of the frame, left free at its edges
MIN_FILL = 0.75  # of the frame that the places must fill at least, to keep it


@dataclass(frozen=True)
class Frame:
    """A square around places: its middle and the length of its sides."""

    x: float
    y: float
    side: float

    @staticmethod
    def around(places: Array) -> Frame:
        """The smallest, with some room."""
        if not len(places):
            return Frame(0.0, 0.0, 1.0)
        least, most = places.min(axis=0), places.max(axis=0)
        x, y = ((least + most) / 2).tolist()
        side = float((most - least).max()) / (1 - 2 * MARGIN)
        return Frame(x, y, side or 1.0)

    def framed(self, places: Array) -> Array:
        """Places in 0..1; those outside stand at the edge."""
        moved = (places - np.array([self.x, self.y], np.float32)) / np.float32(self.side)
        return np.asarray(np.clip(moved + np.float32(0.5), 0, 1), np.float32)

    def kept(self, places: Array) -> Frame:
        """This one while it fits, so that nothing moves that need not; else the smallest."""
        own = Frame.around(places)
        away, free = max(abs(own.x - self.x), abs(own.y - self.y)), 1 - 2 * MARGIN
        inside = away + own.side * free / 2 <= self.side / 2
        return self if inside and own.side >= MIN_FILL * self.side else own


def pca_layout(vectors: Array) -> Array:
    """Places by the two main directions, at once: their spread is 1, or 0 where all are equal."""
    if not len(vectors):
        return np.zeros((0, 2), np.float32)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    values, directions = np.linalg.eigh(centred.T @ centred / len(vectors))
    main = directions[:, :-3:-1]
    if main.shape[1] < 2:
        main = np.pad(main, ((0, 0), (0, 2 - main.shape[1])))
    # A direction may as well be its opposite: let the largest part of each be positive.
    largest = main[np.abs(main).argmax(axis=0), range(2)]
    places = centred @ (main * np.where(largest < 0, -1.0, 1.0))
    spread = float(values[-1]) ** 0.5 if values[-1] > 1e-12 else 0.0
    return np.asarray(places / spread if spread else np.zeros_like(places), np.float32)


def lay_out(vectors: Array, start: Array | None = None) -> Array:
    """Good places; `start`: those that are good for most of the vectors already."""
    begin = pca_layout(vectors)
    if len(vectors) <= MAX_EXACT or not begin.any():
        return begin
    from sklearn.manifold import TSNE

    n = len(vectors)
    placed = TSNE(
        perplexity=min(PERPLEXITY, (n - 1) / 3),
        init=begin * np.float32(1e-4) if start is None else start,
        early_exaggeration=EXAGGERATION if start is None else 1.0,
        learning_rate=max(n / EXAGGERATION / 4, 50.0),
        max_iter=1_000 if start is None else SETTLING_STEPS,
        metric="sqeuclidean",  # of unit vectors: their neighbours are those by cosine
        random_state=0,
        n_jobs=1,
    ).fit_transform(vectors)
    placed = np.asarray(placed, np.float32)
    return placed if start is None else _turned(placed, start)


def place_near_similar(vectors: Array, known: Array, places: Array) -> Array:
    """Places for vectors [m, D] among `known` ones [n, D]: near the most alike of those."""
    found = np.zeros((len(vectors), 2), np.float32)
    most = min(NEIGHBOURS, len(known))
    if not most:
        return found
    for begin in range(0, len(vectors), BLOCK):
        cosines = vectors[begin : begin + BLOCK] @ known.T
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        own = np.take_along_axis(cosines, nearest, axis=1)
        # The middle of all would often lie where none of them is: the most alike weighs most.
        weights = np.exp(20 * (own - own.max(axis=1, keepdims=True)))
        weights /= weights.sum(axis=1, keepdims=True)
        found[begin : begin + BLOCK] = (weights[..., None] * places[nearest]).sum(axis=1)
    return found


def _turned(places: Array, old: Array) -> Array:
    """Places turned and moved, not stretched, to be as near to the old ones as can be."""
    here, there = places.mean(axis=0), old.mean(axis=0)
    left, _, right = np.linalg.svd((places - here).T.astype(np.float64) @ (old - there))
    return np.asarray((places - here) @ (left @ right) + there, np.float32)


def vector_hashes(vectors: Array) -> npt.NDArray[np.uint64]:
    """[n], a number for each vector by which a change of it is seen."""
    weights = np.random.default_rng(0).integers(1, 2**63, vectors.shape[1], dtype=np.uint64)
    bits = np.ascontiguousarray(vectors, np.float32).view(np.uint32).astype(np.uint64)
    return np.asarray((bits * (weights | np.uint64(1))).sum(axis=1), np.uint64)
