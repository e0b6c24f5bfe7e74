"""The library's clips and their sound."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from service.errors import ProblemError, problem
from service.routes.context import EngineDep
from service.schemas.clips import ClipBody

# An id may hold slashes: it is a path here, and what stands after it comes first.
router = APIRouter(tags=["clips"])

_AUDIO_TYPES = {
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".m4a": "audio/mp4",
}


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


@router.get("/v1/clips/{clip_id:path}/audio", response_class=FileResponse)
def audio(engine: EngineDep, clip_id: str) -> FileResponse:
    """A clip's sound, in parts where the request has a Range header."""
    path = Path(engine.clip(clip_id).path)
    if not path.is_file():
        raise ProblemError("sound-gone", f"id: the file of {clip_id!r} is not there now")
    kind = _AUDIO_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    if kind is None or not kind.startswith(("audio/", "video/")):
        kind = "application/octet-stream"
    return SoundResponse(path, media_type=kind)


@router.get("/v1/clips/{clip_id:path}")
def clip(engine: EngineDep, clip_id: str) -> ClipBody:
    """A clip of the library."""
    return ClipBody(**ClipBody.fields_of(engine.clip(clip_id)))
