"""Collections: named, ordered sets of clips, favourites, and searches that are kept."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response

from earmark.index.catalogue.collections import Collection, collection, collections
from earmark.index.curation import collections as kept
from earmark.index.curation.collections import ClipsChange, State, state_of
from earmark.index.curation.handover import Handover, zip_digest
from earmark.index.files.stored_zip import StoredZip
from earmark.index.library import Library
from earmark.index.search.kept_search import KeptSearch
from earmark.service.http import etags
from earmark.service.http.addresses import address
from earmark.service.http.etags import CACHED, UNCHANGED
from earmark.service.http.file_names import attachment
from earmark.service.http.problems import ProblemError
from earmark.service.http.sound_response import REVALIDATE, unchanged
from earmark.service.http.zip_response import ZipResponse
from earmark.service.openapi.operation import NAMES_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import kept_search, kept_search_body
from earmark.service.routes.dependencies import TURN, ServicesDep
from earmark.service.schemas.clip_edits import ClipsBody
from earmark.service.schemas.curation.collections import (
    CollectionBody,
    CollectionChanges,
    CollectionClipsChanges,
    CollectionClipsQuery,
    CollectionsBody,
    Format,
    NewCollection,
)

TAG: Tag = {
    "name": "collections",
    "description": "Named, ordered sets of clips, favourites, and searches that are kept; handed "
    "over as ZIP, CSV or Parquet.",
}
router = APIRouter(tags=[TAG["name"]], dependencies=[TURN])

PROBLEMS = ("invalid-request", *NAMES_PROBLEMS)
CHANGING = (*PROBLEMS, "precondition-failed")

MEDIA: dict[Format, str] = {
    "zip": "application/zip",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {media.partition(";")[0]: {} for media in MEDIA.values()},
        "description": "The whole file",
    },
    206: {"content": {MEDIA["zip"]: {}}, "description": "The requested range of a ZIP"},
    **UNCHANGED,
}
# Declared here alone: the answer itself reads them.
CONDITIONS = [
    {"name": name, "in": "header", "required": False, "description": description,
     "schema": {"type": "string"}, "example": example}
    for name, description, example in (
        ("Range", "One range of a ZIP; ignored where it is malformed", "bytes=0-99999"),
        ("If-Range", "ETag of the ZIP that Range is of; of another state the whole is sent",
         '"5a5b407f41fc5ba1f827b8fa472de0f5"'),
    )
]  # fmt: skip

CollectionId = Annotated[str, Path(max_length=100, description="Its id, such as `favourites`")]
FileFormat = Annotated[Format, Query(alias="format", description="Of the file")]
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


@router.get(
    "/v1/collections/{collection_id}/export",
    response_class=Response,
    responses=FILES,
    **operation(
        "export_collection",
        problems=(*PROBLEMS, "busy", "range-not-satisfiable"),
        headers=(*CACHED, "Content-Disposition"),
        cached=True,
        parameters=CONDITIONS,
    ),
)
async def export(
    request: Request,
    services: ServicesDep,
    collection_id: CollectionId,
    kind: FileFormat = "zip",
) -> Response:
    """Get a collection as a file: its sounds with who made them and a manifest (ZIP), or a table
    without the sounds (CSV, Parquet)."""
    handovers, library = services.handovers, services.library
    with ExitStack() as stack:
        stack.enter_context(handovers.place(request.state.caller.client))
        found = await handovers.run(partial(Handover.of, library, collection_id))
        disposition = attachment(found.collection.name, f".{kind}")
        if kind == "zip":
            members = await handovers.run(found.zip_members)
            archive = await handovers.run(partial(StoredZip, members, handovers.checksums))
            tag = etags.etag(zip_digest(members))
            part = partial(handovers.part, archive)
            return ZipResponse(part, archive.size, tag, disposition, stack.pop_all())
        content, digest = await handovers.run(partial(_table, found, kind))
    headers = {"ETag": etags.etag(digest), "Content-Disposition": disposition, **REVALIDATE}
    if etags.matches(request.headers.get("if-none-match"), headers["ETag"]):
        return unchanged(headers)
    return Response(content, headers=headers, media_type=MEDIA[kind])


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


def _table(found: Handover, kind: Format) -> tuple[bytes, str]:
    """A table of clips as a file, and a hash of it."""
    content = found.parquet() if kind == "parquet" else found.csv().encode()
    return content, hashlib.sha256(content).hexdigest()


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
