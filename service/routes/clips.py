"""The library's clips and their sound."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from service.errors import ProblemError
from service.routes.context import EngineDep
from service.schemas import ClipBody

router = APIRouter(tags=["clips"])

_AUDIO_TYPES = {
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".m4a": "audio/mp4",
}


@router.get("/v1/clips/{clip_id}")
def clip(engine: EngineDep, clip_id: str) -> ClipBody:
    """A clip of the library."""
    return ClipBody(**ClipBody.fields_of(engine.clip(clip_id)))


@router.get("/v1/clips/{clip_id}/audio", response_class=FileResponse)
def audio(engine: EngineDep, clip_id: str) -> FileResponse:
    """A clip's sound, in parts where the request has a Range header."""
    path = Path(engine.clip(clip_id).path)
    if not path.is_file():
        raise ProblemError("sound-gone", f"id: the file of {clip_id!r} is not there now")
    kind = _AUDIO_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    if kind is None or not kind.startswith(("audio/", "video/")):
        kind = "application/octet-stream"
    return FileResponse(path, media_type=kind)
