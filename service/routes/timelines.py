"""What is heard in a clip of the library, and when."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response

from earmark.model import zero_shot
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.model.timeline.label_files import FORMATS
from earmark.service.http import etags
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch
from earmark.service.http.file_names import inline
from earmark.service.http.sound_response import REVALIDATE, unchanged
from earmark.service.http.sound_state import file_state, reading_file, sound_tag
from earmark.service.http.streaming import while_connected
from earmark.service.openapi.operation import UPLOAD_PROBLEMS, operation
from earmark.service.routes.clips import TAG
from earmark.service.routes.dependencies import ClipId, ServicesDep
from earmark.service.schemas.timeline import MAX_LANES, TimelineBody, TimelineQuery

router = APIRouter(tags=[TAG["name"]])

TEXT = {"schema": {"type": "string"}}
ANSWERS = {
    200: {"content": {"text/csv": TEXT, "text/plain": TEXT, "text/tab-separated-values": TEXT}},
    **UNCHANGED,
}


@router.get(
    "/v1/clips/{clip_id:path}/timeline",
    response_model=TimelineBody,
    responses=ANSWERS,
    **operation(
        "clip_timeline",
        problems=("unknown-clip", "sound-gone", *UPLOAD_PROBLEMS),
        headers=(*CACHED, "Content-Disposition"),
        cached=True,
    ),
)
async def timeline(
    request: Request,
    services: ServicesDep,
    clip_id: ClipId,
    query: Annotated[TimelineQuery, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Get which tags are heard in a clip, when, and how surely: yours, or suggested ones."""
    embedder, kind = services.library.embedder, FORMATS[query.format]
    labels = await anyio.to_thread.run_sync(_labels, embedder, query.tags)
    clip = await anyio.to_thread.run_sync(services.library.catalogue.clip, clip_id)
    state = await anyio.to_thread.run_sync(file_state, clip)
    names = labels.names if labels else None
    tag = sound_tag(clip, state, names, query.format, embedder.fingerprint)
    headers = {
        "ETag": tag,
        "Content-Disposition": inline(clip.title, kind.name_end + kind.suffix),
        **REVALIDATE,
    }
    if etags.matches(if_none_match, tag):
        return unchanged(headers)
    making = services.timelines.get(clip, state, labels, query.format)
    async with reading_file(clip):
        body = await while_connected(request, making, services.metrics)
    return Response(body, headers=headers, media_type=kind.media_type)


def _labels(embedder: Embedder, tags: list[str]) -> zero_shot.Labels | None:
    """The lanes that a request names; None for suggested ones. Raises InputError."""
    prompts = zero_shot.plain_prompts([tag for entry in tags for tag in entry.split(",")])
    if not prompts:
        return None
    if len(prompts) > MAX_LANES:
        raise InputError(f"tags: expected at most {MAX_LANES} different ones, got {len(prompts)}")
    zero_shot.check_prompts(prompts, 1, "tags")
    return zero_shot.embed_labels(embedder, prompts, "tags")
