"""Errors → HTTP, in one place: RFC 9457 problem details, with a description of each type.

Routes do not catch the project's errors; the handlers below map them to a status. Details name
what was expected and what came, never a path of this machine or a stack trace.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from earmark.index.errors import (
    ChangedError,
    NotTaughtError,
    OtherModelError,
    StorageError,
    UnknownClassifierError,
    UnknownClipError,
    UnknownCollectionError,
    UnknownEditError,
)
from earmark.model.core.errors import AudioError, EarmarkError, InputError
from earmark.service.http.addresses import problem_address
from earmark.service.http.allowed_methods import allowed_methods
from earmark.service.http.openai_errors import openai_error

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499  # status in the log where the client left before the answer


@dataclass(frozen=True)
class ProblemType:
    """A type of problem: its name in `type`, status, title, and what a client can do."""

    name: str
    status: int
    title: str
    description: str


PROBLEMS: dict[str, ProblemType] = {
    kind.name: kind
    for kind in (
        ProblemType(
            "invalid-request", 422, "Invalid request",
            "A parameter is missing or out of range; the detail names it.",
        ),
        ProblemType(
            "not-a-sound", 422, "Not a usable sound",
            "The upload cannot be decoded, is damaged, or is too short or too long.",
        ),
        ProblemType(
            "unknown-clip", 404, "Unknown clip", "No clip of this library has that id.",
        ),
        ProblemType(
            "unknown-edit", 404, "Unknown edit", "No edit of this library has that number.",
        ),
        ProblemType(
            "unknown-classifier", 404, "Unknown classifier",
            "No classifier of this library has that id.",
        ),
        ProblemType(
            "unknown-model", 404, "Unknown model", "The model that is loaded has another name.",
        ),
        ProblemType(
            "not-taught", 409, "Not taught yet",
            "The model knows no word of the classifier's name, and it has no labels; give some.",
        ),
        ProblemType(
            "other-model", 409, "Another model",
            "The classifier was made with another model than this library's.",
        ),
        ProblemType(
            "unknown-collection", 404, "Unknown collection",
            "No collection of this library has that id.",
        ),
        ProblemType(
            "sound-gone", 410, "Sound gone", "The clip is in the library, but its file is missing.",
        ),
        ProblemType(
            "precondition-failed", 412, "Precondition failed",
            "The clip has changed since the state that If-Match names; read it again.",
        ),
        ProblemType(
            "unsupported-media-type", 415, "Unsupported media type",
            "This operation does not take that type of body; the detail names those it takes.",
        ),
        ProblemType("not-found", 404, "Not found", "There is nothing at this address."),
        ProblemType(
            "method-not-allowed", 405, "Method not allowed",
            "The address does not take this method; Allow lists those it takes.",
        ),
        ProblemType(
            "too-large", 413, "Too large", "The body is over the limit; send a smaller file.",
        ),
        ProblemType(
            "range-not-satisfiable", 416, "Range not satisfiable",
            "The range starts after the end of the file; Content-Range has its size.",
        ),
        ProblemType(
            "bad-request", 400, "Bad request",
            "The body cannot be parsed as its Content-Type, or a header is malformed.",
        ),
        ProblemType(
            "busy", 429, "Busy",
            "Too many requests are waiting; try again after Retry-After seconds.",
        ),
        ProblemType(
            "unauthorized", 401, "Unauthorized",
            "This needs a valid API key; send it as Authorization: Bearer.",
        ),
        ProblemType(
            "forbidden", 403, "Forbidden",
            "The key's scope, the page's origin or the host name does not allow this.",
        ),
        ProblemType(
            "too-slow", 408, "Too slow",
            "The request did not arrive in time; send it again over a faster connection.",
        ),
        ProblemType(
            "headers-too-large", 431, "Headers too large",
            "The request line or the header fields are over the limit.",
        ),
        ProblemType(
            "too-many-requests", 429, "Too many requests",
            "The client is over its rate; try again after Retry-After seconds.",
        ),
        ProblemType(
            "deadline", 504, "Not done in time",
            "The work took longer than its time limit; send less, or try again later.",
        ),
        ProblemType(
            "unavailable", 503, "Unavailable",
            "The library cannot be read now, or the service is starting or stopping.",
        ),
        ProblemType(
            "internal", 500, "Internal error", "An error of the service; its log has the details.",
        ),
    )
}  # fmt: skip

_BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}


class ClientGoneError(Exception):
    """The client disconnected before the answer."""


class ProblemError(HTTPException):
    """A problem of HTTP itself, named by its type."""

    def __init__(self, name: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(PROBLEMS[name].status, detail, headers)
        self.name = name


def problem(name: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The response for a problem of this type."""
    kind = PROBLEMS[name]
    body = {
        "type": problem_address(kind.name),
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        **openai_error(kind.name, kind.status, detail),
    }
    return JSONResponse(body, kind.status, headers, media_type="application/problem+json")


def _validation_detail(error: RequestValidationError) -> str:
    """One line: the parameters, what was expected, and values that are short."""
    parts = []
    for found in error.errors()[:5]:
        where = ".".join(str(part) for part in found["loc"] if part not in ("query", "body"))
        value, says = repr(found.get("input")), found["msg"]
        if says.startswith("Value error, Expected UploadFile"):
            says = "expected a file"
        got = f", got {value}" if len(value) <= 60 and found["type"] != "missing" else ""
        parts.append(f"{where or 'body'}: {says}{got}")
    return "; ".join(parts)


_BY_ERROR: tuple[tuple[type[EarmarkError], str], ...] = (  # subclasses first
    (UnknownClipError, "unknown-clip"),
    (UnknownEditError, "unknown-edit"),
    (UnknownClassifierError, "unknown-classifier"),
    (NotTaughtError, "not-taught"),
    (OtherModelError, "other-model"),
    (UnknownCollectionError, "unknown-collection"),
    (ChangedError, "precondition-failed"),
    (AudioError, "not-a-sound"),
    (InputError, "invalid-request"),
)


def problem_response(error: Exception) -> JSONResponse:
    """The problem that the client sees for an error; details it must not see are logged."""
    for kind, name in _BY_ERROR:
        if isinstance(error, kind):
            return problem(name, str(error))
    if isinstance(error, RequestValidationError):
        return problem("invalid-request", _validation_detail(error))
    if isinstance(error, HTTPException):
        default = _BY_STATUS.get(error.status_code, "bad-request")
        name = error.name if isinstance(error, ProblemError) else default
        return problem(name, str(error.detail), dict(error.headers or {}))
    if isinstance(error, StorageError):
        log.error("library: %s", error)
        return problem("unavailable", "the library cannot be read or written now")
    log.exception("unexpected error", exc_info=error)
    return problem("internal", "an unexpected error; the service's log has the details")


def add_handlers(app: FastAPI) -> None:
    """Make the application answer every error as a problem."""

    async def closed(_: Request, error: Exception) -> Response:
        del error
        return Response(status_code=CLIENT_CLOSED_REQUEST)  # for the log: nobody receives it

    async def handler(request: Request, error: Exception) -> JSONResponse:
        response = problem_response(error)
        if response.status_code == 405:
            response.headers["Allow"] = allowed_methods(app, request.scope["path"])
        return response

    for gone in (ClientGoneError, ClientDisconnect):  # the latter while sending its body
        app.add_exception_handler(gone, closed)
    for kind in (RequestValidationError, HTTPException, EarmarkError, Exception):
        app.add_exception_handler(kind, handler)
