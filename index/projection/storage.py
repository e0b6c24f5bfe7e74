"""The saved map layout of a library: which clips it shows, and where.

It is a snapshot file in the library's folder (`index.stores.snapshot`). It is derived: if it cannot
be trusted, the map is laid out again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earmark.index.projection.tsne import Frame
from earmark.index.stores import snapshot
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

FILE = "map.snapshot"
VERSION = 2

VectorHashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class MapLayout:
    """A map: the clips' rows [n], ascending, hashes of their vectors [n], their positions [n, 2],
    and the frame around these. `generation`: the library's when the map was laid out."""

    rows: Rows
    hashes: VectorHashes
    positions: Array
    frame: Frame
    generation: int

    def find(
        self, rows: Rows, hashes: VectorHashes
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """(the clips' indices in this map, whether each is in it with the same vector), [m]."""
        if not len(self.rows):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        indices = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return indices, (self.rows[indices] == rows) & (self.hashes[indices] == hashes)

    def matches(self, rows: Sequence[int] | Rows, hashes: VectorHashes) -> bool:
        """Whether it is of exactly these clips with these vectors."""
        return np.array_equal(self.rows, rows) and np.array_equal(self.hashes, hashes)


def save(layout: MapLayout, folder: Path, library: str) -> None:
    """Save the map of the library with an id, whole or not at all. Raises OSError."""
    header: dict[str, object] = {
        "map": VERSION,
        "library": library,
        "generation": layout.generation,
        "frame": asdict(layout.frame),
    }
    arrays: snapshot.Arrays = {
        "rows": layout.rows,
        "hashes": layout.hashes,
        "positions": layout.positions,
    }
    snapshot.write(folder / FILE, header, arrays)


def load(folder: Path, library: str) -> MapLayout | None:
    """The saved map of the library with an id; None if there is none to trust."""
    file = folder / FILE
    try:
        header, arrays = snapshot.read(file)
        if (header["map"], header["library"]) != (VERSION, library):
            return None
        rows, hashes, positions = (arrays[name] for name in ("rows", "hashes", "positions"))
        if len(rows) != len(hashes) or positions.shape != (len(rows), 2):
            return None
        frame = Frame(**header["frame"])
        return MapLayout(rows, hashes, positions, frame, int(header["generation"]))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, snapshot.SnapshotError) as error:
        log.warning("map %s cannot be used (%s): laying it out again", file, error)
        return None
