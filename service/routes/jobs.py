"""Jobs: many sounds added in the background, with progress as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, File, Form, Header, Response, UploadFile
from sse_starlette import EventSourceResponse, ServerSentEvent

from earmark.service.http.addresses import address
from earmark.service.library_service import clean_metadata, part_name
from earmark.service.openapi.operation import Tag, operation
from earmark.service.routes.conversions import metadata_of
from earmark.service.routes.dependencies import FormRoute, ServicesDep
from earmark.service.schemas.clip_edits import OriginForm
from earmark.service.schemas.jobs import JobBody
from earmark.service.workers.job_store import JobEvent

TAG: Tag = {
    "name": "jobs",
    "description": "Many sounds added in the background, with progress as server-sent events.",
}
router = APIRouter(tags=[TAG["name"]], route_class=FormRoute)

PING_SECONDS = 15
EVENT_EXAMPLE = (
    'id: 1\nevent: progress\ndata: {"total": 2, "done": 0, "added": 0, "failed": 0, "ids": []}\n\n'
)

Uploads = Annotated[list[UploadFile], File(min_length=1, description="Sounds, one in each `file`")]
Last = Annotated[int, Header(ge=0, alias="Last-Event-ID", description="Last event received")]


@router.post(
    "/v1/jobs",
    status_code=202,
    **operation(
        "begin_job",
        problems=("invalid-request", "busy"),
        headers=("Location",),
        links={"job_id": ("get_job", "job_events", "cancel_job")},
    ),
)
async def begin(
    services: ServicesDep,
    response: Response,
    file: Uploads,
    form: Annotated[OriginForm, Form()],
) -> JobBody:
    """Add many sounds in the background. The metadata applies to all of them; titles come from the
    files' names."""
    jobs = services.jobs
    await run_sync(jobs.admit)
    metadata = vars(clean_metadata(metadata_of(form)))
    sounds = [(upload.file, part_name(upload.filename or "")) for upload in file]
    status = await run_sync(jobs.submit, sounds, metadata)
    response.headers["Location"] = address(f"/v1/jobs/{status.id}")
    return JobBody.of(status)


@router.get("/v1/jobs/{job_id}", **operation("get_job", problems=("not-found",)))
async def job(services: ServicesDep, job_id: str) -> JobBody:
    """A job's state and results. The latest 100 finished jobs are kept, over restarts too."""
    return JobBody.of(await run_sync(services.jobs.status, job_id))


@router.get(
    "/v1/jobs/{job_id}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {"example": EVENT_EXAMPLE}}}},
    **operation("job_events", problems=("not-found", "invalid-request")),
)
async def events(services: ServicesDep, job_id: str, last: Last = 0) -> EventSourceResponse:
    """A job's events from the first on, as they happen: `progress`, `failed`, at the end `done`.
    When the service stops, the stream ends before: reconnect with `Last-Event-ID`."""
    return EventSourceResponse(
        _event_stream(await services.jobs.follow(job_id, last)),
        ping=PING_SECONDS,
        send_timeout=services.settings.write_seconds,
    )


@router.delete("/v1/jobs/{job_id}", **operation("cancel_job", problems=("not-found",)))
async def cancel(services: ServicesDep, job_id: str) -> JobBody:
    """Stop a job and hide it. Clips that it has added stay, and are listed in the answer."""
    return JobBody.of(await services.jobs.stop(job_id))


async def _event_stream(events: AsyncIterator[JobEvent]) -> AsyncIterator[ServerSentEvent]:
    async for event in events:
        yield ServerSentEvent(json.dumps(event.data), event=event.kind, id=str(event.number))
