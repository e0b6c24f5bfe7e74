"""A map of a library: which clips it shows and where, kept in a file of the library's folder.

The file is derived: whatever is wrong with it, the map is made anew.
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
VERSION = 1

VectorHashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class MapLayout:
    """Clips' numbers [n], ascending, the marks of their vectors [n], their places [n, 2], and the
    frame around these; laid out when the library was of `generation`."""

    rows: Rows
    marks: VectorHashes
    places: Array
    frame: Frame
    generation: int

    def known(
        self, rows: Rows, marks: VectorHashes
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """(where clips stand in this map, which of them do so with the same vector), both [m]."""
        if not len(self.rows):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        found = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return found, (self.rows[found] == rows) & (self.marks[found] == marks)

    def shows(self, rows: Sequence[int] | Rows, marks: VectorHashes) -> bool:
        """Whether it is of exactly these clips with these vectors."""
        return np.array_equal(self.rows, rows) and np.array_equal(self.marks, marks)


def save(made: MapLayout, folder: Path, library: str) -> None:
    """Write a map of the library of that id, whole or not at all. Raises OSError."""
    says: dict[str, object] = {
        "map": VERSION,
        "library": library,
        "generation": made.generation,
        "frame": asdict(made.frame),
    }
    parts: snapshot.Arrays = {"rows": made.rows, "marks": made.marks, "places": made.places}
    snapshot.write(folder / FILE, says, parts)


def load(folder: Path, library: str) -> MapLayout | None:
    """The map of this very library; None where there is none to trust."""
    file = folder / FILE
    try:
        says, parts = snapshot.read(file)
        if (says["map"], says["library"]) != (VERSION, library):
            return None
        rows, marks, places = (parts[name] for name in ("rows", "marks", "places"))
        if len(rows) != len(marks) or places.shape != (len(rows), 2):
            return None
        frame = Frame(**says["frame"])
        return MapLayout(rows, marks, places, frame, int(says["generation"]))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, snapshot.SnapshotError) as error:
        log.warning("map %s cannot be used (%s): making it anew", file, error)
        return None
