"""The columns of all clips, read from the catalogue: for stores that keep none in memory, or older
ones that lack some. They stay in memory until the catalogue changes, without terms of words."""

from __future__ import annotations

import threading

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.stores.base import StoreColumns
from earmark.index.stores.columns import Columns, Mask
from earmark.index.types import Filter
from earmark.model.core.arrays import Rows


class CatalogueColumns:
    """Columns of a catalogue. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._reading = threading.Lock()
        self._latest: tuple[int, Rows, Columns] | None = None

    def columns(self, *filters: Filter) -> StoreColumns:
        """As `VectorStore.columns`. Raises StorageError."""
        with self._reading:  # concurrent callers share one reading
            now = int(self._catalogue.meta("generation"))
            if self._latest is None or self._latest[0] != now:
                facts = self._catalogue.facts()
                self._latest = facts.generation, facts.rows, Columns.of(facts, words=False)
            generation, rows, columns = self._latest
        return generation, [(columns, [_mask(columns, rows, where) for where in filters])]


def _mask(columns: Columns, rows: Rows, where: Filter) -> Mask | None:
    """[n], True where a clip passes; None for all. `rows` [n]: ascending."""
    if where.empty:
        return None
    mask = columns.mask(where)
    if where.up_to is not None:
        mask &= rows <= where.up_to
    if where.but is not None:
        mask &= rows != where.but
    if where.rows is not None:
        mask &= np.isin(rows, where.rows)
    if where.members is not None:
        mask &= np.isin(rows, where.members.rows)
    return mask
