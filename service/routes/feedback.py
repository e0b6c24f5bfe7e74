"""What people say of suggested tags: kept, listed, and as a manifest to train on."""

from __future__ import annotations

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
from earmark.service.routes.dependencies import ServicesDep
from earmark.service.schemas.feedback import (
    FeedbackBody,
    FeedbackForm,
    FeedbackGiven,
    FeedbackListBody,
)

TAG: Tag = {
    "name": "feedback",
    "description": "Which suggested tags are right; kept, listed, and as a manifest to train on.",
}
router = APIRouter(tags=[TAG["name"]])
Body = TypeVar("Body", bound=BaseModel)

MAX_LISTED = 1_000
JSON, FORM = "application/json", "multipart/form-data"


_SOME = {"minItems": 1}
# At least one tag: each kind of body says so.
AT_LEAST_ONE = [
    {"required": [name], "properties": {name: _SOME}} for name in ("accepted", "rejected")
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
    """Tell which suggested tags are right and which are not: on a clip of the library (JSON), or on
    a sound that is sent along (multipart), which is then kept. Sounds and tags are for training."""
    library_service = services.library_service
    caller = getattr(request.state, "caller", None)
    by = getattr(caller, "key", None) or ""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == JSON:
        given = _valid(FeedbackGiven, await request.body())
        stored = await anyio.to_thread.run_sync(
            library_service.feedback_on_clip, given.clip, given.accepted, given.rejected, by
        )
        return FeedbackBody.of(stored)
    if kind != FORM:
        raise ProblemError(
            "unsupported-media-type", f"body: expected {JSON} or {FORM}, got {kind[:60]!r}"
        )
    services.uploads.admit()
    async with request.form(
        max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    ) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ProblemError("invalid-request", "file: expected a sound")
        fields: dict[str, list[object]] = {}
        for name, value in form.multi_items():
            if value is not file:
                fields.setdefault(name, []).append(value)
        given_form = _valid(FeedbackForm, fields)
        embed = partial(services.uploads.embed, max_seconds=services.settings.max_seconds)
        stored = await library_service.feedback_on_sound(
            file.file, file.filename or "", given_form.accepted, given_form.rejected, by, embed
        )
    return FeedbackBody.of(stored)


@router.get("/v1/feedback", **operation("list_feedback", problems=("invalid-request",)))
def listed(
    services: ServicesDep,
    k: Annotated[int, Query(ge=1, le=MAX_LISTED, description="Most wanted")] = 100,
    before: Annotated[
        int | None, Query(ge=1, lt=2**62, description="`next` of the page before")
    ] = None,
) -> FeedbackListBody:
    """All feedback, the newest first."""
    catalogue = services.library.catalogue
    records = feedback.newest(catalogue, k + 1, before)  # one more, to see whether there is one
    return FeedbackListBody.of(records, k, feedback.count(catalogue))


@router.get(
    "/v1/feedback/manifest.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    **operation("feedback_manifest", headers=("Content-Disposition",)),
)
def manifest(services: ServicesDep) -> Response:
    """All sounds with feedback and their tags after it, as a manifest for `earmark train`.

    Paths are relative to the library's folder; a sound that lies elsewhere stands as
    `clips/ID.suffix`, and `/v1/clips/ID/audio` has it.
    """
    attached = {"Content-Disposition": 'attachment; filename="manifest.csv"'}
    library = services.library
    text = feedback.manifest(library.folder, library.catalogue, absolute=False)
    return Response(text, headers=attached, media_type="text/csv")


def _valid(kind: type[Body], given: object) -> Body:
    """What was sent, checked. Raises RequestValidationError."""
    try:
        if isinstance(given, bytes):
            return kind.model_validate_json(given)
        return kind.model_validate(given)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise RequestValidationError(problems) from error
