"""What is heard in a clip of the library, and when."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Query, Request, Response

from earmark.index.curation.classifiers import hear
from earmark.index.errors import UnknownClipError
from earmark.index.library import Library
from earmark.model import zero_shot
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.errors import InputError
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.tagging import suggest
from earmark.model.timeline.label_files import FORMATS
from earmark.service.http import etags
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch
from earmark.service.http.file_names import inline
from earmark.service.http.sound_response import REVALIDATE, unchanged
from earmark.service.http.sound_state import file_state, reading_file, sound_tag
from earmark.service.http.streaming import while_connected
from earmark.service.openapi.operation import UPLOAD_PROBLEMS, operation
from earmark.service.routes.clips import TAG
from earmark.service.routes.dependencies import TURN, ClipId, ServicesDep
from earmark.service.routes.uploads import Labels, SuggestedCount, labels_of
from earmark.service.schemas.tagging import ClassesBody, TagsBody
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
    state = await file_state(clip)
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


@router.get(
    "/v1/clips/{clip_id:path}/tags",
    dependencies=[TURN],
    **operation("clip_tags", problems=("unknown-clip", "invalid-request", "busy")),
)
def clip_tags(services: ServicesDep, clip_id: ClipId, k: SuggestedCount = 10) -> TagsBody:
    """Suggest tags for a clip of the library, with the windows of a long one that they are in."""
    library = services.library
    sound = _embedding(library, clip_id)
    heard = hear(library.catalogue, library.embedder, sound)
    return TagsBody.of(suggest(library.embedder, sound, k), heard)


@router.get(
    "/v1/clips/{clip_id:path}/classify",
    dependencies=[TURN],
    **operation("classify_clip", problems=("unknown-clip", "invalid-request", "busy")),
)
def classify_clip(
    services: ServicesDep,
    clip_id: ClipId,
    labels: Annotated[Labels, Query(description="Comma-separated, or repeated")],
    multiple: Annotated[
        bool, Query(description="Whether several labels can be true at once")
    ] = False,
) -> ClassesBody:
    """Classify a clip of the library by labels of your own, without training."""
    library = services.library
    sound = _embedding(library, clip_id)
    classes = labels_of(library, labels, None, 1 if multiple else 2)
    return ClassesBody.of(
        zero_shot.classify(library.embedder, classes, sound.vector, multiple=multiple)
    )


def _embedding(library: Library, clip_id: str) -> AudioEmbedding:
    """A clip as it was embedded, without its code; with the windows of a long one. Raises
    UnknownClipError."""
    clip = library.catalogue.clip(clip_id)
    vector = library.catalogue.vector(clip.row)
    if vector is None:  # removed since
        raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
    none = (np.zeros(0), np.zeros((0, len(vector)), np.float32))
    starts, windows = library.catalogue.windows([clip.row]).get(clip.row, none)
    frames = round(clip.duration * clip.sample_rate)
    info = SoundInfo(clip.sample_rate, clip.channels, frames, clip.sha256, clip.damaged)
    return AudioEmbedding(vector, np.zeros(0, np.float32), windows, starts, info)


def _labels(embedder: Embedder, tags: list[str]) -> zero_shot.Labels | None:
    """The lanes that a request names; None for suggested ones. Raises InputError."""
    prompts = zero_shot.plain_prompts([tag for entry in tags for tag in entry.split(",")])
    if not prompts:
        return None
    if len(prompts) > MAX_LANES:
        raise InputError(f"tags: expected at most {MAX_LANES} different ones, got {len(prompts)}")
    zero_shot.check_prompts(prompts, 1, "tags")
    return zero_shot.embed_labels(embedder, prompts, "tags")
