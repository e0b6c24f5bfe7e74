"""Collections of clips in the catalogue: named, ordered sets, and searches that are kept.

A clip that is removed leaves its collections by itself. A collection that follows a search holds
no clips of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import UnknownCollectionError
from earmark.model.core.arrays import Rows

FAVOURITES = "favourites"  # is there from the start, and stays


@dataclass(frozen=True)
class Collection:
    """A collection. `id`: never changes; `follows`: the search that it keeps, as JSON; `clips`: how
    many it holds itself; `generation`: of its last change. Dates are ISO 8601 in UTC."""

    number: int
    id: str
    name: str
    description: str
    follows: str | None
    created_at: str
    changed_at: str
    generation: int
    clips: int


_SELECT = (
    "SELECT number, id, name, description, follows, created_at, changed_at, generation, "
    "(SELECT count(*) FROM collection_clips WHERE collection = number) FROM collections"
)


def collections(catalogue: Catalogue) -> list[Collection]:
    """All collections: the favourites, then the others by name."""
    order = f"{_SELECT} ORDER BY id != '{FAVOURITES}', name_key"
    return [Collection(*row) for row in catalogue.database.query(order)]


def collection(catalogue: Catalogue, collection_id: str) -> Collection:
    """The collection with an id. Raises UnknownCollectionError."""
    found = catalogue.database.query(f"{_SELECT} WHERE id = ?", (collection_id,))
    if not found:
        raise unknown(collection_id)
    return Collection(*found[0])


def version(catalogue: Catalogue, collection_id: str) -> tuple[int, int, str | None]:
    """(number, generation, kept search) of a collection: another one where its clips may be others.

    Raises UnknownCollectionError.
    """
    found = catalogue.database.query(
        "SELECT number, generation, follows FROM collections WHERE id = ?", (collection_id,)
    )
    if not found:
        raise unknown(collection_id)
    number, generation, follows = found[0]
    return number, generation, follows


def member_rows(catalogue: Catalogue, ids: Sequence[str]) -> Rows:
    """The rows of the clips that some collections hold themselves, ascending and distinct."""
    found = catalogue.database.query(
        "SELECT DISTINCT row FROM collection_clips WHERE collection IN (SELECT number FROM "
        "collections WHERE id IN (SELECT value FROM json_each(?))) ORDER BY row",
        (json.dumps(list(ids)),),
    )
    return np.fromiter((row for (row,) in found), np.int64, len(found))


def ordered_rows(catalogue: Catalogue, number: int) -> Rows:
    """The rows of the clips that a collection holds itself, in its order."""
    found = catalogue.database.query(
        "SELECT row FROM collection_clips WHERE collection = ? ORDER BY place", (number,)
    )
    return np.fromiter((row for (row,) in found), np.int64, len(found))


def unknown(collection_id: str) -> UnknownCollectionError:
    """The error for an id that no collection has."""
    return UnknownCollectionError(f"collection: none has the id {collection_id[:60]!r}")
