"""Collections: named, ordered sets of clips, favourites, and searches that are kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from earmark.index.catalogue.collections import Collection, collection, collections
from earmark.index.curation import collections as kept
from earmark.index.curation.collections import ClipsChange, State, state_of
from earmark.index.library import Library
from earmark.index.search.kept_search import KeptSearch
from earmark.service.http import etags
from earmark.service.http.addresses import address
from earmark.service.http.problems import ProblemError
from earmark.service.openapi.operation import NAMES_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import kept_search, kept_search_body
from earmark.service.routes.dependencies import ServicesDep
from earmark.service.schemas.clip_edits import ClipsBody
from earmark.service.schemas.curation.collections import (
    CollectionBody,
    CollectionChanges,
    CollectionClipsChanges,
    CollectionClipsQuery,
    CollectionsBody,
    NewCollection,
)

TAG: Tag = {
    "name": "collections",
    "description": "Named, ordered sets of clips, favourites, and searches that are kept; handed "
    "over as ZIP, CSV or Parquet.",
}
router = APIRouter(tags=[TAG["name"]])

PROBLEMS = ("invalid-request", *NAMES_PROBLEMS)
CHANGING = (*PROBLEMS, "precondition-failed")

CollectionId = Annotated[str, Path(max_length=100, description="Its id, such as `favourites`")]
IfMatch = Annotated[str | None, Header(description="ETag of the collection as it was read")]


@router.get("/v1/collections", **operation("list_collections"))
def list_collections(services: ServicesDep) -> CollectionsBody:
    """List all collections: the favourites, then the others by name."""
    found = collections(services.library.catalogue)
    return CollectionsBody(
        collections=[_body(one, one.clips if one.follows is None else None) for one in found]
    )


@router.post(
    "/v1/collections",
    status_code=201,
    **operation(
        "create_collection",
        problems=(*PROBLEMS, "unknown-clip"),
        headers=("Location", "ETag"),
        links={
            "collection_id": (
                *("get_collection", "edit_collection", "collection_clips"),
                *("change_collection_clips", "export_collection", "delete_collection"),
            )
        },
    ),
)
def create(services: ServicesDep, body: NewCollection, response: Response) -> CollectionBody:
    """Make a collection, of clips or of what a search finds. Its id comes from its name."""
    follows = None if body.follows is None else kept_search(body.follows)
    library = services.library
    made = kept.create(library, body.name, body.description, clip_ids=body.clips, follows=follows)
    response.headers["Location"] = address(f"/v1/collections/{made.id}")
    return _answer(library, made, response)


@router.get(
    "/v1/collections/{collection_id}",
    **operation("get_collection", problems=PROBLEMS, headers=("ETag",)),
)
def get(services: ServicesDep, collection_id: CollectionId, response: Response) -> CollectionBody:
    """Get a collection, without its clips."""
    library = services.library
    return _answer(library, collection(library.catalogue, collection_id), response)


@router.patch(
    "/v1/collections/{collection_id}",
    **operation("edit_collection", problems=CHANGING, headers=("ETag",)),
)
def edit(
    services: ServicesDep,
    collection_id: CollectionId,
    changes: CollectionChanges,
    response: Response,
    if_match: IfMatch = None,
) -> CollectionBody:
    """Change a collection's name, description, or the search that it follows. Its id stays."""
    library, given = services.library, changes.model_fields_set
    edited = kept.edit(
        library,
        collection_id,
        name=changes.name if "name" in given else None,
        description=changes.description if "description" in given else None,
        follows=kept_search(changes.follows) if changes.follows else None,
        expected=_expected(library, collection_id, if_match),
    )
    return _answer(library, edited, response)


@router.delete(
    "/v1/collections/{collection_id}",
    status_code=204,
    **operation("delete_collection", problems=CHANGING),
)
def delete(services: ServicesDep, collection_id: CollectionId, if_match: IfMatch = None) -> None:
    """Delete a collection; its clips stay in the library. The favourites cannot be deleted."""
    library = services.library
    kept.delete(library, collection_id, _expected(library, collection_id, if_match))


@router.get(
    "/v1/collections/{collection_id}/clips", **operation("collection_clips", problems=PROBLEMS)
)
def clips(
    services: ServicesDep,
    collection_id: CollectionId,
    query: Annotated[CollectionClipsQuery, Query()],
) -> ClipsBody:
    """List a collection's clips, in its order, page by page. Pages hold their place while others
    write."""
    return ClipsBody.of(kept.page(services.library, collection_id, query.k, query.cursor))


@router.patch(
    "/v1/collections/{collection_id}/clips",
    **operation("change_collection_clips", problems=(*CHANGING, "unknown-clip"), headers=("ETag",)),
)
def change_clips(
    services: ServicesDep,
    collection_id: CollectionId,
    changes: CollectionClipsChanges,
    response: Response,
    if_match: IfMatch = None,
) -> CollectionBody:
    """Add, remove and move clips of a collection, all or nothing."""
    library = services.library
    expected = _expected(library, collection_id, if_match)
    change = ClipsChange(changes.add, changes.remove, changes.move, changes.before)
    changed = kept.change_clips(library, collection_id, change, expected)
    return _answer(library, changed, response)


def _answer(library: Library, found: Collection, response: Response) -> CollectionBody:
    """A collection with its ETag and the number of its clips now."""
    response.headers["ETag"] = _tag(found)
    return _body(found, len(kept.rows_of(library, found)) if found.follows else found.clips)


def _body(found: Collection, clips: int | None) -> CollectionBody:
    follows = None
    if found.follows is not None:
        follows = kept_search_body(KeptSearch.from_json(found.follows))
    return CollectionBody.of(found, follows, clips)


def _tag(found: Collection) -> str:
    return etags.etag(*state_of(found))


def _expected(library: Library, collection_id: str, if_match: str | None) -> State | None:
    """The state that a collection must still have; None for any. Raises ProblemError (412)."""
    if if_match is None:
        return None
    found = collection(library.catalogue, collection_id)
    if etags.differs(if_match, _tag(found)):
        raise ProblemError("precondition-failed", f"If-Match: {collection_id!r} has changed since")
    return state_of(found)
