"""Edits of many clips, undoing them, and what changed when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Path, Query

from earmark.index.catalogue.metadata import MetadataChange
from earmark.index.curation import edits
from earmark.index.curation.edits import EditResult
from earmark.index.errors import LibraryError
from earmark.index.library import Library
from earmark.service.http import etags
from earmark.service.http.problems import ProblemError
from earmark.service.openapi.operation import NAMES_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import changes_of, filter_of
from earmark.service.routes.dependencies import TURN, ClipId, KeyName, ServicesDep
from earmark.service.schemas.curation.edits import (
    BulkEdit,
    EditBody,
    EditsBody,
    HistoryBody,
    PastEditBody,
    PastQuery,
    UndoBody,
)
from earmark.service.services import Services

TAG: Tag = {
    "name": "edits",
    "description": "Many clips changed at once, undoing it, and what changed when.",
}
router = APIRouter(tags=[TAG["name"]], dependencies=[TURN])

MAX_NUMBER = 2**62
NAMED = 5  # clips that a conflict's detail names

Number = Annotated[int, Path(ge=1, le=MAX_NUMBER, description="The edit's number")]


@router.patch(
    "/v1/clips",
    **operation(
        "edit_clips",
        problems=("invalid-request", "unknown-clip", *NAMES_PROBLEMS, "precondition-failed"),
    ),
)
async def edit_clips(services: ServicesDep, body: BulkEdit, by: KeyName) -> EditBody:
    """Change the metadata of many clips at once, all or none. The next search uses it."""
    if (body.ids is None) == (body.where is None):
        raise LibraryError("ids, where: expected one of them")
    result = await anyio.to_thread.run_sync(_edit, services, body, by)
    await services.searches.follow(services.library.store.generation)
    return EditBody.of(result)


@router.get("/v1/edits", **operation("list_edits", problems=("invalid-request",)))
def list_edits(services: ServicesDep, query: Annotated[PastQuery, Query()]) -> EditsBody:
    """List what changed clips' metadata, the newest first."""
    found, cursor = edits.list_edits(services.library, query.k, query.cursor)
    return EditsBody(edits=[PastEditBody.of(edit) for edit in found], next=cursor or None)


@router.post(
    "/v1/edits/{number}/undo",
    **operation("undo_edit", problems=("invalid-request", "unknown-edit")),
)
async def undo(services: ServicesDep, number: Number, by: KeyName) -> UndoBody:
    """Undo an edit. Clips have again what they had before it, but for those whose same fields have
    changed since: they stay, and are told. An undo is an edit, and can be undone."""
    result = await anyio.to_thread.run_sync(services.library_service.undo, number, by)
    await services.searches.follow(services.library.store.generation)
    return UndoBody.of(result)


@router.get(
    "/v1/clips/{clip_id:path}/history",
    response_model_exclude_unset=True,
    **operation("clip_history", problems=("invalid-request", "unknown-clip")),
)
def history(
    services: ServicesDep, clip_id: ClipId, query: Annotated[PastQuery, Query()]
) -> HistoryBody:
    """List the changes of a clip's metadata: when, with which key, by which means."""
    return HistoryBody.of(*edits.clip_history(services.library, clip_id, query.k, query.cursor))


def _edit(services: Services, body: BulkEdit, by: str) -> EditResult:
    """Raises as `index.curation.edits`, ProblemError (412)."""
    library = services.library
    generations = _generations(library, body.etags)
    if body.ids is not None:
        rows = edits.rows_of(library, body.ids)
    else:
        assert body.where is not None, "it is given where ids are not"
        chosen = body.where
        rows = edits.found_rows(library, filter_of(chosen), chosen.q, chosen.min_probability)
    fields = changes_of(body.set) if body.set else {}
    change = MetadataChange(fields, tuple(body.add_tags), tuple(body.remove_tags))
    return services.library_service.edit_clips(rows, change, by, generations)


def _generations(library: Library, tags: Mapping[str, str]) -> dict[int, int]:
    """The generations that clips must still have, by their rows.

    Raises UnknownClipError, ProblemError (412).
    """
    edits.rows_of(library, list(tags))
    clips = library.catalogue.clips_by_id(list(tags))
    changed = [
        clip_id
        for clip_id, clip in clips.items()
        if etags.differs(tags[clip_id], etags.clip_etag(clip))
    ]
    if changed:
        named = ", ".join(repr(clip_id) for clip_id in changed[:NAMED])
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise ProblemError("precondition-failed", f"etags: changed since: {named}{more}")
    return {clip.row: clip.generation for clip in clips.values()}
