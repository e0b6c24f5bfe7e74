"""The vocabulary in two dimensions: tags with similar vectors lie close together.

Positions are scikit-learn's t-SNE of the tags' vectors, as for the map of a library. Labels are
placed where they overlap no other. Pixels have their origin at the lower left. Letters: V = tags,
D = size of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from earmark.model.core.arrays import Array, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg


MAX_LABELS = 150
TAG_PERPLEXITY = 20.0
MAX_PCA_TAGS = 8  # so few tags are projected by PCA
LABEL_SIZE = 9  # points
LABEL_GAP = 6.0  # pixels between a point and its label
LABEL_MARGIN = 1.5  # pixels around a label that no other enters


def tag_positions(vectors: Array) -> Array:
    """Unit vectors [V, D] → positions [V, 2] without a unit; deterministic."""
    if len(vectors) <= MAX_PCA_TAGS:
        centred = vectors - vectors.mean(axis=0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
        flat = centred @ directions.T
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)
    from sklearn.manifold import TSNE

    positions = TSNE(
        perplexity=min(TAG_PERPLEXITY, (len(vectors) - 1) / 3),
        init="pca",
        metric="sqeuclidean",  # of unit vectors: ordered as by cosine
        random_state=0,
        n_jobs=1,
    ).fit_transform(vectors)
    return np.asarray(positions, dtype=np.float32)


def label_points(
    axes: Axes,
    renderer: RendererAgg,
    points: Array,
    names: Sequence[str],
    order: Sequence[int],
) -> list[int]:
    """Label points [V, 2] of the axes in order of importance, at most MAX_LABELS of them.

    A label goes to the side of its point where it covers the fewest points. A point whose label
    would overlap another on every side gets none. The axes must have their final position. Returns
    the indices of the labelled points.
    """
    pixels = axes.transData.transform(points)
    frame = axes.get_window_extent(renderer)
    boxes, labelled = np.zeros((0, 4)), list[int]()
    inverse = axes.transData.inverted()
    for index in order:
        if len(labelled) == MAX_LABELS:
            break
        text = axes.text(0, 0, names[index], size=LABEL_SIZE, color="#222222", zorder=3)
        extent = text.get_window_extent(renderer)
        box = _free_box(pixels, index, (extent.width, extent.height), boxes)
        inside = box is not None and (
            frame.x0 <= box[0] and frame.y0 <= box[1]
            and box[2] <= frame.x1 and box[3] <= frame.y1
        )  # fmt: skip
        if box is None or not inside:
            text.remove()
            continue
        x, y = inverse.transform(box[:2])
        text.set_position((float(x), float(y)))
        text.set_verticalalignment("bottom")
        boxes, labelled = np.vstack([boxes, box]), [*labelled, index]
    return labelled


def _free_box(
    pixels: Floats, index: int, size: tuple[float, float], boxes: Floats
) -> Floats | None:
    """The box (left, bottom, right, top) of a label of this size; None where none is free."""
    (x, y), (width, height) = pixels[index], size
    corners = (
        (x + LABEL_GAP, y - height / 2),
        (x - LABEL_GAP - width, y - height / 2),
        (x - width / 2, y + LABEL_GAP),
        (x - width / 2, y - LABEL_GAP - height),
    )
    best, fewest = None, len(pixels) + 1
    for left, bottom in corners:
        box = np.array([left, bottom, left + width, bottom + height])
        low, high = boxes[:, :2] - LABEL_MARGIN, boxes[:, 2:] + LABEL_MARGIN
        if ((box[:2] < high) & (box[2:] > low)).all(axis=1).any():
            continue
        covered = int(((pixels > box[:2]) & (pixels < box[2:])).all(axis=1).sum())
        if covered < fewest:
            best, fewest = box, covered
    return best
