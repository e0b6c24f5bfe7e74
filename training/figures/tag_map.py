"""The vocabulary in two dimensions: tags that a model takes for alike lie near to each other.

Places are scikit-learn's t-SNE of the tags' vectors, as for the map of a library; names stand
where they cover no other. Pixels have their origin at the lower left. Letters: V = tags, D = size
of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from earmark.model.core.arrays import Array, Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg


MOST_NAMES = 150
PERPLEXITY = 20.0  # neighbours that count
FEW = 8  # vectors, up to which their main directions are the picture
TEXT = 9  # points
GAP = 6.0  # pixels between a point and its name
AIR = 1.5  # pixels around a name that stay free of others


def places(vectors: Array) -> Array:
    """Unit vectors [V, D] → places [V, 2], in units of their own; the same ones each time."""
    if len(vectors) <= FEW:
        centred = vectors - vectors.mean(axis=0)
        directions = np.linalg.svd(centred, full_matrices=False)[2][:2]
        flat = centred @ directions.T
        return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1]))).astype(np.float32)
    from sklearn.manifold import TSNE

    made = TSNE(
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        init="pca",
        metric="sqeuclidean",  # of unit vectors: their neighbours are those by cosine
        random_state=0,
        n_jobs=1,
    ).fit_transform(vectors)
    return np.asarray(made, dtype=np.float32)


def name(
    axes: Axes,
    renderer: RendererAgg,
    points: Array,
    names: Sequence[str],
    order: Sequence[int],
) -> list[int]:
    """Name points [V, 2] of the axes, in an order of importance, at most MOST_NAMES.

    A name goes to that side of its point where it covers least, and where each would cover
    another name, nowhere. The axes must have their final place. Returns the named points.
    """
    pixels = axes.transData.transform(points)
    frame = axes.get_window_extent(renderer)
    taken, named = np.zeros((0, 4)), list[int]()
    inverse = axes.transData.inverted()
    for number in order:
        if len(named) == MOST_NAMES:
            break
        text = axes.text(0, 0, names[number], size=TEXT, color="#222222", zorder=3)
        box = text.get_window_extent(renderer)
        found = _free(pixels, number, (box.width, box.height), taken)
        inside = found is not None and (
            frame.x0 <= found[0] and frame.y0 <= found[1]
            and found[2] <= frame.x1 and found[3] <= frame.y1
        )  # fmt: skip
        if found is None or not inside:
            text.remove()
            continue
        x, y = inverse.transform(found[:2])
        text.set_position((float(x), float(y)))
        text.set_verticalalignment("bottom")
        taken, named = np.vstack([taken, found]), [*named, number]
    return named


def _free(pixels: Floats, number: int, size: tuple[float, float], taken: Floats) -> Floats | None:
    """The box (left, bottom, right, top) for a name of this size; None where there is no room."""
    (x, y), (width, height) = pixels[number], size
    corners = (
        (x + GAP, y - height / 2),
        (x - GAP - width, y - height / 2),
        (x - width / 2, y + GAP),
        (x - width / 2, y - GAP - height),
    )
    best, fewest = None, len(pixels) + 1
    for left, bottom in corners:
        box = np.array([left, bottom, left + width, bottom + height])
        low, high = taken[:, :2] - AIR, taken[:, 2:] + AIR
        if ((box[:2] < high) & (box[2:] > low)).all(axis=1).any():
            continue
        covered = int(((pixels > box[:2]) & (pixels < box[2:])).all(axis=1).sum())
        if covered < fewest:
            best, fewest = box, covered
    return best
