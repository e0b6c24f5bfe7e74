"""Feedback on suggested tags: stored, listed, and exported as a training manifest."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from earmark.index import feedback
from earmark.service.http.problems import ProblemError
from earmark.service.middleware.body_limit import MAX_FIELD_BYTES, MAX_FIELDS
from earmark.service.openapi.operation import UPLOAD_PROBLEMS, Tag, operation
from earmark.service.routes.dependencies import FormRoute, ServicesDep, one_file
from earmark.service.schemas.feedback import (
    FeedbackBody,
    FeedbackForm,
    FeedbackGiven,
    FeedbackListBody,
)

TAG: Tag = {
    "name": "feedback",
    "description": "Which suggested tags are right: stored, listed, exported as a manifest.",
}
router = APIRouter(tags=[TAG["name"]], route_class=FormRoute)
Body = TypeVar("Body", bound=BaseModel)

MAX_LISTED = 1_000
JSON, FORM = "application/json", "multipart/form-data"


_NOT_EMPTY = {"minItems": 1}
# Both kinds of body need at least one tag.
AT_LEAST_ONE = [
    {"required": [name], "properties": {name: _NOT_EMPTY}} for name in ("accepted", "rejected")
]


def _schema(of: type[BaseModel], **more: Any) -> dict[str, Any]:  # noqa: ANN401 (JSON)
    schema = of.model_json_schema()
    schema["properties"] |= more
    schema["anyOf"] = AT_LEAST_ONE
    if more:
        schema["required"] = [*schema.get("required", ()), *more]
    return {"schema": schema}


BODY = {
    "required": True,
    "content": {
        JSON: _schema(FeedbackGiven),
        FORM: _schema(FeedbackForm, file={"type": "string", "format": "binary"}),
    },
}


@router.post(
    "/v1/feedback",
    status_code=201,
    **operation(
        "give_feedback",
        problems=(*UPLOAD_PROBLEMS, "unknown-clip", "unsupported-media-type"),
        requestBody=BODY,
    ),
)
async def give(request: Request, services: ServicesDep) -> FeedbackBody:
    """Accept or reject suggested tags. The sound is a clip of the library (JSON) or is sent along
    (multipart) and stored. Feedback can be exported as training data."""
    library_service = services.library_service
    caller = getattr(request.state, "caller", None)
    by = getattr(caller, "key", None) or ""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        body = _valid(FeedbackGiven, await request.body())
        stored = await anyio.to_thread.run_sync(
            library_service.feedback_on_clip, body.clip, body.accepted, body.rejected, by
        )
        return FeedbackBody.of(stored)
    if kind != FORM:
        raise ProblemError(
            "unsupported-media-type", f"body: expected {JSON} or {FORM}, got {kind[:60]!r}"
        )
    services.uploads.admit()
    form = await request.form(
        max_files=services.settings.max_files,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        await one_file(request)
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ProblemError("invalid-request", "file: expected a sound")
        fields: dict[str, list[object]] = {}
        for name, value in form.multi_items():
            if value is not file:
                fields.setdefault(name, []).append(value)
        sound_form = _valid(FeedbackForm, fields)
        embed = partial(services.uploads.embed, max_seconds=services.settings.max_seconds)
        stored = await library_service.feedback_on_sound(
            file.file, file.filename or "", sound_form.accepted, sound_form.rejected, by, embed
        )
    return FeedbackBody.of(stored)


@router.get("/v1/feedback", **operation("list_feedback", problems=("invalid-request",)))
def listed(
    services: ServicesDep,
    k: Annotated[int, Query(ge=1, le=MAX_LISTED, description="Entries on a page")] = 100,
    before: Annotated[
        int | None, Query(ge=1, lt=2**62, description="`next` of the page before")
    ] = None,
) -> FeedbackListBody:
    """List all feedback, the newest first."""
    catalogue = services.library.catalogue
    records = feedback.newest(catalogue, k + 1, before)  # one more: is there a next page?
    return FeedbackListBody.of(records, k, feedback.count(catalogue))


@router.get(
    "/v1/feedback/manifest.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    **operation("feedback_manifest", headers=("Content-Disposition",)),
)
def manifest(services: ServicesDep) -> Response:
    """Export all sounds with feedback and their corrected tags as a manifest for `earmark train`.

    Paths are relative to the library's folder; a sound outside it is listed as `clips/ID.suffix`,
    to be downloaded from `/v1/clips/ID/audio`.
    """
    headers = {"Content-Disposition": 'attachment; filename="manifest.csv"'}
    library = services.library
    text = feedback.manifest(library.folder, library.catalogue, absolute=False)
    return Response(text, headers=headers, media_type="text/csv")


def _valid(kind: type[Body], sent: object) -> Body:
    """What the client sent, validated. Raises RequestValidationError."""
    try:
        if isinstance(sent, bytes):
            return kind.model_validate_json(sent)
        return kind.model_validate(sent)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise RequestValidationError(problems) from error
