"""Clips as pictures: their waveforms and spectrograms."""

from __future__ import annotations

import os
from typing import Annotated, Any, NamedTuple

import anyio.to_thread
from fastapi import APIRouter, Query, Response

from earmark.index.catalogue.records import Clip
from earmark.model.audio.stretch import Stretch
from earmark.service.http import etags
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch
from earmark.service.http.sound_response import REVALIDATE, unchanged
from earmark.service.http.sound_state import file_state, reading_file, sound_tag
from earmark.service.openapi.operation import UPLOAD_PROBLEMS, operation
from earmark.service.routes.clips import TAG
from earmark.service.routes.dependencies import ClipId, ServicesDep
from earmark.service.routes.stretches import End, Start, near, stretch_of
from earmark.service.schemas.clip_edits import WaveformBody
from earmark.service.services import Services

router = APIRouter(tags=[TAG["name"]])

MAX_POINTS = 4_000
MAX_WIDTH, MAX_HEIGHT = 2_000, 512  # pixels

Points = Annotated[int, Query(ge=1, le=MAX_POINTS, description="Points of the waveform")]
Width = Annotated[int, Query(ge=1, le=MAX_WIDTH, description="Pixels, all of the sound's time")]
Height = Annotated[
    int,
    Query(
        ge=1,
        le=MAX_HEIGHT,
        description="Pixels, equally high in mel, from 0 Hz at the bottom to half the sample rate",
    ),
]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
        "description": "8-bit grey, linear in dB: 0 is -100 dB or less, 255 is -20 dB or more, "
        "and 0 dB a sine at full scale",
    },
    **UNCHANGED,
}
PROBLEMS = ("unknown-clip", "sound-gone", *UPLOAD_PROBLEMS)


@router.get(
    "/v1/clips/{clip_id:path}/waveform",
    response_model=WaveformBody,
    responses=UNCHANGED,
    **operation("clip_waveform", problems=PROBLEMS, headers=CACHED, cached=True),
)
async def waveform(
    services: ServicesDep,
    clip_id: ClipId,
    points: Points = 400,
    start: Start = None,
    end: End = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Get the waveform of a clip, or of a stretch of it: the minimum and maximum of the samples at
    each point."""
    subject = await _subject(services, clip_id, (start, end), points)
    if etags.matches(if_none_match, subject.headers["ETag"]):
        return unchanged(subject.headers)
    async with reading_file(subject.clip):
        body = await services.drawings.waveform(
            subject.clip, subject.state, points, subject.stretch
        )
    return Response(body, headers=subject.headers, media_type="application/json")


@router.get(
    "/v1/clips/{clip_id:path}/spectrogram",
    response_class=Response,
    responses=PICTURE,
    **operation("clip_spectrogram", problems=PROBLEMS, headers=CACHED, cached=True),
)
async def spectrogram(
    services: ServicesDep,
    clip_id: ClipId,
    width: Width = 800,
    height: Height = 160,
    start: Start = None,
    end: End = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Get the spectrogram of a clip, or of a stretch of it, as a PNG: how loud each frequency is at
    each time."""
    subject = await _subject(services, clip_id, (start, end), "spectrogram", width, height)
    if etags.matches(if_none_match, subject.headers["ETag"]):
        return unchanged(subject.headers)
    async with reading_file(subject.clip):
        body = await services.drawings.spectrogram(
            subject.clip, subject.state, (width, height), subject.stretch
        )
    return Response(body, headers=subject.headers, media_type="image/png")


class _Subject(NamedTuple):
    """What is drawn: all of a clip or a stretch of it, and the headers of the answer."""

    clip: Clip
    state: os.stat_result
    stretch: Stretch | None
    headers: dict[str, str]


async def _subject(
    services: Services,
    clip_id: str,
    span: tuple[float | None, float | None],
    *drawing: object,
) -> _Subject:
    """The clip with this id, or what it has from start to end; `drawing`: what its ETag is of
    besides. Raises InputError, ProblemError (404, 410)."""
    in_thread, catalogue = anyio.to_thread.run_sync, services.library.catalogue
    clip = await in_thread(catalogue.clip, clip_id)
    state = await file_state(clip)
    stretch = None
    if span != (None, None):
        stretch = near(await in_thread(stretch_of, catalogue, clip, state, *span))
    tag = sound_tag(clip, state, *drawing, stretch and stretch.frames(clip.sample_rate))
    return _Subject(clip, state, stretch, {"ETag": tag, **REVALIDATE})
