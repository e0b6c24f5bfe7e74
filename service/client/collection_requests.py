"""The requests of the clients' methods for collections; see `earmark.service.client.requests`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from earmark.service.client.requests import Call, in_path
from earmark.service.schemas.clip_edits import ClipsBody
from earmark.service.schemas.curation.collections import (
    CollectionBody,
    CollectionsBody,
    Format,
)

PATH = "/v1/collections"


def collections() -> Call[CollectionsBody]:
    """All collections: the favourites, then the others by name."""
    return Call("GET", PATH, CollectionsBody)


def collection(collection_id: str) -> Call[CollectionBody]:
    """A collection, without its clips."""
    return Call("GET", _path(collection_id), CollectionBody)


def create_collection(
    name: str,
    *,
    description: str = "",
    clips: Sequence[str] = (),
    follows: Mapping[str, Any] | None = None,
) -> Call[CollectionBody]:
    """Make a collection of clips, by their ids, or of what a search finds. `follows`: the words of
    the search as `q`, and its filters."""
    body = {"name": name, "description": description, "clips": list(clips), "follows": follows}
    return Call("POST", PATH, CollectionBody, body=body, safe=False)


def edit_collection(
    collection_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    follows: Mapping[str, Any] | None = None,
) -> Call[CollectionBody]:
    """Change what is given of a collection; its id stays."""
    changes = {"name": name, "description": description, "follows": follows}
    body = {field: value for field, value in changes.items() if value is not None}
    return Call("PATCH", _path(collection_id), CollectionBody, body=body)


def delete_collection(collection_id: str) -> Call[None]:
    """Delete a collection; its clips stay in the library."""
    return Call("DELETE", _path(collection_id), None, safe=False)


def collection_page(collection_id: str, *, k: int = 100, cursor: str = "") -> Call[ClipsBody]:
    """A page of a collection's clips, in its order."""
    query = {"k": k, "cursor": cursor}
    return Call("GET", _path(collection_id, "/clips"), ClipsBody, query)


def change_collection(
    collection_id: str,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    move: Sequence[str] = (),
    before: str | None = None,
) -> Call[CollectionBody]:
    """Change a collection's clips, by their ids: first those of `remove` leave it, then those of
    `move` and the new ones of `add` are put before the clip `before`; None: at the end."""
    body = {"add": list(add), "remove": list(remove), "move": list(move), "before": before}
    return Call("PATCH", _path(collection_id, "/clips"), CollectionBody, body=body)


def export_collection(collection_id: str, kind: Format) -> Call[bytes]:
    """A collection as a file."""
    return Call("GET", _path(collection_id, "/export"), bytes, {"format": kind})


def _path(collection_id: str, part: str = "") -> str:
    return f"{PATH}/{in_path(collection_id)}{part}"
