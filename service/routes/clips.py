"""The library's clips: listing, adding, editing, and their sound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Header, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from earmark.index.catalogue.records import Clip
from earmark.index.files.safe_names import MAX_CHARACTERS
from earmark.index.library import Library
from earmark.index.listing import list_clips
from earmark.model.audio.cut import Kind, check_kind
from earmark.model.audio.stretch import Stretch
from earmark.model.cloud.cloud_file import stored_file
from earmark.service.http import etags
from earmark.service.http.addresses import clip_address
from earmark.service.http.cut_response import CutResponse
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch, clip_etag
from earmark.service.http.problems import ProblemError
from earmark.service.http.sound_response import REVALIDATE, sound_response, unchanged
from earmark.service.http.sound_state import file_state, reading_file, sound_tag
from earmark.service.openapi.operation import NAMES_PROBLEMS, UPLOAD_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import changes_of, filter_of, metadata_of
from earmark.service.routes.dependencies import (
    WRITE_TURN,
    ClipId,
    KeyName,
    ServicesDep,
    UploadRoute,
    one_file,
)
from earmark.service.routes.stretches import End, Start, stretch_of
from earmark.service.routes.uploads import Upload
from earmark.service.schemas.clip_edits import (
    AddedBody,
    ClipChanges,
    ClipForm,
    ClipsBody,
    ClipsQuery,
)
from earmark.service.schemas.clips import ClipBody
from earmark.service.services import Services
from earmark.service.workers.cuts import OpenCut, WantedCut

# An id may hold slashes, so it is a path here; routes with a part after it come first.
TAG: Tag = {
    "name": "clips",
    "description": "The library's clips, their sound and waveform; the next search sees every "
    "change.",
}
router = APIRouter(tags=[TAG["name"]], dependencies=[WRITE_TURN])
uploads = APIRouter(route_class=UploadRoute, dependencies=[Depends(one_file)])

SAMPLE_BYTES = 8  # at most, of a sample in a file that is cut out
# Declared here alone: the answer itself reads them.
CONDITIONS = [
    {"name": name, "in": "header", "required": False, "description": description,
     "schema": {"type": "string"}, "example": example}
    for name, description, example in (
        ("Range", "The requested range; ignored where it is malformed", "bytes=0-99999"),
        ("If-Range", "ETag or Last-Modified of the sound that Range is of; of another state the "
         "whole is sent", '"5a5b407f41fc5ba1f827b8fa472de0f5"'),
        ("If-Modified-Since", "Last-Modified of a cached answer, where it has no ETag",
         "Mon, 23 Nov 2026 08:25:57 GMT"),
    )
]  # fmt: skip

IfMatch = Annotated[str | None, Header(description="ETag of the clip as it was read")]
FileKind = Annotated[
    Kind | None,
    Query(alias="format", description="Of the file that is cut out; not given: `wav`"),
]

SOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {}}, "description": "The whole sound"},
    206: {"content": {"audio/*": {}}, "description": "The requested range"},
    **UNCHANGED,
}


async def _read_only(clip_id: str) -> None:
    raise HTTPException(405, f"{clip_id[:60]!r}: this part of a clip is read-only")


@router.get("/v1/clips", **operation("list_clips", problems=("invalid-request", *NAMES_PROBLEMS)))
def clips(services: ServicesDep, query: Annotated[ClipsQuery, Query()]) -> ClipsBody:
    """List the clips that pass the filters, page by page. Pages stay stable while others write."""
    return ClipsBody.of(
        list_clips(services.library, query.k, filter_of(query), query.sort, query.cursor)
    )


@uploads.post(
    "/v1/clips",
    status_code=201,
    **operation(
        "add_clip",
        problems=UPLOAD_PROBLEMS,
        headers=("Location", "ETag"),
        links={
            "clip_id": (
                "get_clip",
                "edit_clip",
                "clip_audio",
                "clip_waveform",
                "clip_spectrogram",
                "clip_timeline",
                "clip_tags",
                "classify_clip",
                "similar",
                "remove_clip",
            )
        },
    ),
)
async def add(
    services: ServicesDep,
    response: Response,
    file: Upload,
    form: Annotated[ClipForm, Form()],
) -> AddedBody:
    """Add a sound to the library. The next search finds it."""
    embed = partial(
        services.uploads.embed, max_seconds=services.settings.max_seconds, with_metadata=True
    )
    added = await services.library_service.add(
        file.file, file.filename or "", metadata_of(form), embed
    )
    response.headers["Location"] = clip_address(added.clip.id)
    response.headers["ETag"] = clip_etag(added.clip)
    return AddedBody.of(added)


router.include_router(uploads)


@router.get(
    "/v1/clips/{clip_id:path}/audio",
    response_class=FileResponse,
    responses=SOUND,
    **operation(
        "clip_audio",
        problems=("unknown-clip", "sound-gone", "range-not-satisfiable", *UPLOAD_PROBLEMS),
        headers=(*CACHED, "Accept-Ranges", "Content-Disposition", "Last-Modified"),
        cached=True,
        parameters=CONDITIONS,
    ),
)
async def audio(
    request: Request,
    services: ServicesDep,
    clip_id: ClipId,
    start: Start = None,
    end: End = None,
    kind: FileKind = None,
) -> Response:
    """Get a clip's sound, or the range of it that a Range header names; or a stretch of it as a
    file of its own."""
    in_thread, catalogue = anyio.to_thread.run_sync, services.library.catalogue
    clip = await in_thread(catalogue.clip, clip_id)
    state = await file_state(clip)
    if start is None and end is None and kind is None:
        return sound_response(stored_file(clip.path), state, sound_tag(clip, state), clip.title)
    kind = kind or "wav"
    check_kind(kind, clip.channels, clip.sample_rate)
    stretch = await in_thread(stretch_of, catalogue, clip, state, start, end)
    first, last = stretch.frames(clip.sample_rate)
    wanted = WantedCut(stretch, kind, (last - first) * clip.channels * SAMPLE_BYTES)
    return CutResponse(
        partial(_open_cut, services, clip, wanted, request.state.caller.client),
        state,
        sound_tag(clip, state, kind, first, last),
        (_stretch_title(clip, stretch, f".{kind}"), f".{kind}"),
        services.metrics,
    )


@router.get(
    "/v1/clips/{clip_id:path}",
    response_model=ClipBody,
    responses=UNCHANGED,
    **operation("get_clip", problems=("unknown-clip",), headers=CACHED, cached=True),
)
def clip(
    services: ServicesDep, clip_id: ClipId, response: Response, if_none_match: IfNoneMatch = None
) -> ClipBody | Response:
    """Get a clip of the library."""
    found = services.library.catalogue.clip(clip_id)
    headers = {"ETag": clip_etag(found), **REVALIDATE}
    if etags.matches(if_none_match, headers["ETag"]):
        return unchanged(headers)
    response.headers.update(headers)
    return ClipBody(**ClipBody.fields_of(found))


_PARTS = ("waveform", "spectrogram", "timeline", "tags", "classify", "similar", "history")
for _part in ("audio", *_PARTS):
    router.add_api_route(  # else it would be taken for part of an id
        f"/v1/clips/{{clip_id:path}}/{_part}",
        _read_only,
        methods=["PATCH", "DELETE"],
        include_in_schema=False,
    )


@router.patch(
    "/v1/clips/{clip_id:path}",
    **operation(
        "edit_clip",
        problems=("unknown-clip", "precondition-failed", "invalid-request", "method-not-allowed"),
        headers=("ETag",),
    ),
)
def edit(
    services: ServicesDep,
    clip_id: ClipId,
    changes: ClipChanges,
    response: Response,
    by: KeyName,
    if_match: IfMatch = None,
) -> ClipBody:
    """Change a clip's metadata. The next search uses it."""
    expected = _expected(services.library, clip_id, if_match)
    edited = services.library_service.edit(clip_id, changes_of(changes), expected, by)
    response.headers["ETag"] = clip_etag(edited)
    return ClipBody(**ClipBody.fields_of(edited))


@router.delete(
    "/v1/clips/{clip_id:path}",
    status_code=204,
    **operation(
        "remove_clip", problems=("unknown-clip", "precondition-failed", "method-not-allowed")
    ),
)
def remove(services: ServicesDep, clip_id: ClipId, if_match: IfMatch = None) -> None:
    """Remove a clip. The file of an uploaded clip is deleted, any other file stays."""
    services.library_service.remove(clip_id, _expected(services.library, clip_id, if_match))


@asynccontextmanager
async def _open_cut(
    services: Services, clip: Clip, wanted: WantedCut, client: str
) -> AsyncIterator[OpenCut]:
    """The file that is cut out. Raises as `Cuts.open` does, ProblemError (410)."""
    async with reading_file(clip), services.cuts.open(wanted, client) as cut:
        yield cut


def _stretch_title(clip: Clip, stretch: Stretch, suffix: str) -> str:
    """The name of a file that is cut out, without its suffix."""
    title = clip.title[: -len(suffix)] if clip.title.lower().endswith(suffix) else clip.title
    if (stretch.start, stretch.end) == (0.0, clip.duration):
        return title
    start, end = (round(seconds, 3) for seconds in (stretch.start, stretch.end))
    if start == end:  # a few samples
        start, end = (round(seconds, 6) for seconds in (stretch.start, stretch.end))
    times = f" {start}-{end} s"
    return title[: MAX_CHARACTERS - len(times)] + times


def _expected(library: Library, clip_id: str, if_match: str | None) -> int | None:
    """The generation that a clip must still have; None for any. Raises ProblemError (412)."""
    if if_match is None:
        return None
    clip = library.catalogue.clip(clip_id)
    if etags.differs(if_match, clip_etag(clip)):
        raise ProblemError("precondition-failed", f"If-Match: {clip_id!r} has changed since")
    return clip.generation
