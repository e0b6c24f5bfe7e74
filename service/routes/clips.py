"""The library's clips and their sound."""

from __future__ import annotations

import mimetypes
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Form, Header, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from earmark.index.catalogue.records import Clip
from earmark.service.http import etags
from earmark.service.http.problems import ProblemError, problem
from earmark.service.library_service import Shelf
from earmark.service.routes.dependencies import (
    AdmittedRoute,
    InferenceDep,
    SettingsDep,
    ShelfDep,
    WaveformsDep,
)
from earmark.service.routes.uploads import Upload
from earmark.service.schemas.clip_edits import (
    AddedBody,
    ClipChanges,
    ClipForm,
    ClipsBody,
    ClipsQuery,
    WaveformBody,
)
from earmark.service.schemas.clips import ClipBody

# An id may hold slashes: it is a path here, and what stands after it comes first.
router = APIRouter(tags=["clips"])
uploads = APIRouter(route_class=AdmittedRoute)

MAX_POINTS = 4_000
REVALIDATE = {"Cache-Control": "no-cache"}  # kept by clients, but asked for again

IfNoneMatch = Annotated[str | None, Header(description="ETag of an answer that you have")]
IfMatch = Annotated[str | None, Header(description="ETag of the clip as it was read")]
Points = Annotated[int, Query(ge=1, le=MAX_POINTS, description="Stretches wanted")]

UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "You have it already"}}
SOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/*": {}}, "description": "The whole sound"},
    206: {"content": {"audio/*": {}}, "description": "The part asked for"},
    **UNCHANGED,
}

_AUDIO_TYPES = {
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
}


async def _only_read(clip_id: str) -> None:
    raise HTTPException(405, f"{clip_id[:60]!r}: this part of a clip can only be read")


class SoundResponse(FileResponse):
    """A file whose refusals of a Range header are problems like any other."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part asked for."""
        refused: Message | None = None

        async def sending(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refused = message
            elif refused is None:
                await send(message)

        await super().__call__(scope, receive, sending)
        if refused is not None:
            await _refusal(refused)(scope, receive, send)


def _refusal(message: Message) -> JSONResponse:
    """The problem for a refused range."""
    if message["status"] != 416:
        return problem("bad-request", "Range: expected bytes=FIRST-LAST")
    size = Headers(raw=message["headers"])["content-range"]
    return problem(
        "range-not-satisfiable", f"Range: the sound has {size[8:]} bytes", {"Content-Range": size}
    )


@router.get("/v1/clips")
def clips(shelf: ShelfDep, asked: Annotated[ClipsQuery, Query()]) -> ClipsBody:
    """All clips that pass the filters, page by page; pages stay stable while others write."""
    return ClipsBody.of(shelf.clips(asked.k, asked.filter(), asked.sort, asked.cursor))


@uploads.post("/v1/clips", status_code=201)
async def add(
    shelf: ShelfDep,
    settings: SettingsDep,
    inference: InferenceDep,
    response: Response,
    file: Upload,
    form: Annotated[ClipForm, Form()],
) -> AddedBody:
    """Add a sound to the library; a search finds it at once."""
    embed = partial(inference.embed, max_seconds=settings.max_seconds)
    added = await shelf.add(file.file, file.filename or "", form.said(), embed)
    response.headers["Location"] = f"/v1/clips/{quote(added.clip.id, safe='')}"
    response.headers["ETag"] = _tag(added.clip)
    return AddedBody.of(added)


router.include_router(uploads)


@router.get("/v1/clips/{clip_id:path}/audio", response_class=FileResponse, responses=SOUND)
def audio(shelf: ShelfDep, clip_id: str, if_none_match: IfNoneMatch = None) -> Response:
    """A clip's sound, in parts where the request has a Range header."""
    clip = shelf.clip(clip_id)
    state = _file(shelf, clip)
    tag = _sound_tag(clip, state)
    if etags.has(if_none_match, tag):
        return _unchanged(tag)
    path = Path(clip.path)
    kind = _AUDIO_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    if kind is None or not kind.startswith(("audio/", "video/")):
        kind = "application/octet-stream"
    return SoundResponse(
        path, media_type=kind, headers={"ETag": tag, **REVALIDATE}, stat_result=state
    )


@router.get("/v1/clips/{clip_id:path}/waveform", response_model=WaveformBody, responses=UNCHANGED)
async def waveform(
    shelf: ShelfDep,
    waveforms: WaveformsDep,
    clip_id: str,
    points: Points = 400,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """A clip's outline: the least and the greatest sample of each stretch."""
    clip = await anyio.to_thread.run_sync(shelf.clip, clip_id)
    state = await anyio.to_thread.run_sync(_file, shelf, clip)
    tag = _sound_tag(clip, state, points)
    if etags.has(if_none_match, tag):
        return _unchanged(tag)
    body = await waveforms.get(clip, state, points)
    return Response(body, headers={"ETag": tag, **REVALIDATE}, media_type="application/json")


@router.get("/v1/clips/{clip_id:path}", response_model=ClipBody, responses=UNCHANGED)
def clip(
    shelf: ShelfDep, clip_id: str, response: Response, if_none_match: IfNoneMatch = None
) -> ClipBody | Response:
    """A clip of the library."""
    found = shelf.clip(clip_id)
    tag = _tag(found)
    if etags.has(if_none_match, tag):
        return _unchanged(tag)
    response.headers.update({"ETag": tag, **REVALIDATE})
    return ClipBody(**ClipBody.fields_of(found))


for _part in ("audio", "waveform", "similar"):
    router.add_api_route(  # else it would be taken for the end of an id
        f"/v1/clips/{{clip_id:path}}/{_part}",
        _only_read,
        methods=["PATCH", "DELETE"],
        include_in_schema=False,
    )


@router.patch("/v1/clips/{clip_id:path}")
def edit(
    shelf: ShelfDep,
    clip_id: str,
    changes: ClipChanges,
    response: Response,
    if_match: IfMatch = None,
) -> ClipBody:
    """Change what is said of a clip; a search finds it by that at once."""
    edited = shelf.edit(clip_id, changes.changes(), _expected(shelf, clip_id, if_match))
    response.headers["ETag"] = _tag(edited)
    return ClipBody(**ClipBody.fields_of(edited))


@router.delete("/v1/clips/{clip_id:path}", status_code=204)
def remove(shelf: ShelfDep, clip_id: str, if_match: IfMatch = None) -> None:
    """Remove a clip. The file of an uploaded one goes with it, any other file stays."""
    shelf.remove(clip_id, _expected(shelf, clip_id, if_match))


def _tag(clip: Clip) -> str:
    return etags.etag(clip.row, clip.generation, clip.changed_at)


def _sound_tag(clip: Clip, state: os.stat_result, *more: object) -> str:
    return etags.etag(state.st_size, state.st_mtime_ns, clip.sha256, *more)


def _unchanged(tag: str) -> Response:
    return Response(status_code=304, headers={"ETag": tag, **REVALIDATE})


def _file(shelf: Shelf, clip: Clip) -> os.stat_result:
    """The state of a clip's file. Raises ProblemError (410) where it is not there."""
    state = shelf.file(clip)
    if state is None:
        raise ProblemError("sound-gone", f"id: the file of {clip.id!r} is not there now")
    return state


def _expected(shelf: Shelf, clip_id: str, if_match: str | None) -> int | None:
    """The generation that a clip must have still; None for any. Raises ProblemError (412)."""
    if if_match is None:
        return None
    clip = shelf.clip(clip_id)
    if etags.refuses(if_match, _tag(clip)):
        raise ProblemError("precondition-failed", f"If-Match: {clip_id!r} has changed since")
    return clip.generation
