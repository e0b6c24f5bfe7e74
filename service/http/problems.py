"""Errors → HTTP, in this one place: RFC 9457 problem details, each type described.

Routes let the project's errors pass; the handlers below map the kind to a status. Details
name what was expected and what came, never a path of this machine or a stack trace.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from earmark.index.errors import ChangedError, StorageError, UnknownClipError
from earmark.model.core.errors import AudioError, EarmarkError, InputError
from earmark.service.http.allowed_methods import allowed

log = logging.getLogger(__name__)

GONE = 499  # the status, in the log alone, of an answer that its client did not wait for


@dataclass(frozen=True)
class ProblemType:
    """A kind of problem: its name in `type`, status, title, and what to do about it."""

    name: str
    status: int
    title: str
    description: str


PROBLEMS: dict[str, ProblemType] = {
    each.name: each
    for each in (
        ProblemType(
            "invalid-request", 422, "Invalid request",
            "A parameter is missing or out of range; the detail names it.",
        ),
        ProblemType(
            "not-a-sound", 422, "Not a usable sound",
            "The upload could not be read as sound, is too short or too long, or is damaged.",
        ),
        ProblemType(
            "unknown-clip", 404, "Unknown clip", "No clip of this library has that id.",
        ),
        ProblemType(
            "sound-gone", 410, "Sound gone", "The clip is known, but its file is not there now.",
        ),
        ProblemType(
            "precondition-failed", 412, "Precondition failed",
            "The clip is no longer what If-Match says; read it again.",
        ),
        ProblemType(
            "unsupported-media-type", 415, "Unsupported media type",
            "The body is of a type that this call does not take; the detail names those it does.",
        ),
        ProblemType("not-found", 404, "Not found", "There is nothing at this address."),
        ProblemType(
            "method-not-allowed", 405, "Method not allowed", "See /docs for what is.",
        ),
        ProblemType(
            "too-large", 413, "Too large", "The body is over the limit; send a smaller file.",
        ),
        ProblemType(
            "range-not-satisfiable", 416, "Range not satisfiable",
            "The sound ends before the range starts; Content-Range tells its size.",
        ),
        ProblemType(
            "bad-request", 400, "Bad request", "The body could not be parsed as what it claims.",
        ),
        ProblemType(
            "busy", 429, "Busy", "Too many uploads are waiting; try again after Retry-After.",
        ),
        ProblemType(
            "unauthorized", 401, "Unauthorized",
            "This needs an API key; send one that is in use as Authorization: Bearer.",
        ),
        ProblemType(
            "forbidden", 403, "Forbidden",
            "The key, the page or the name asked for does not allow this.",
        ),
        ProblemType(
            "too-slow", 408, "Too slow",
            "The request did not arrive in time; send it again, faster.",
        ),
        ProblemType(
            "headers-too-large", 431, "Headers too large",
            "The request line or its fields are over the limit.",
        ),
        ProblemType(
            "too-many-requests", 429, "Too many requests",
            "Over this client's rate; wait as long as Retry-After says.",
        ),
        ProblemType(
            "deadline", 504, "Not done in time",
            "The work did not fit into the time it may take; send less, or try again later.",
        ),
        ProblemType(
            "unavailable", 503, "Unavailable",
            "The library cannot be read at the moment, or the service is starting or stopping.",
        ),
        ProblemType(
            "internal", 500, "Internal error", "A fault of the service; its log tells more.",
        ),
    )
}  # fmt: skip

_BY_STATUS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
}


class GoneError(Exception):
    """The client left before its answer."""


class ProblemError(HTTPException):
    """A problem that belongs to HTTP alone, by its type's name."""

    def __init__(self, name: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(PROBLEMS[name].status, detail, headers)
        self.name = name


def problem(name: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The answer for a problem of that type."""
    kind = PROBLEMS[name]
    body = {
        "type": f"/problems/{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
    }
    return JSONResponse(body, kind.status, headers, media_type="application/problem+json")


def _validation_detail(error: RequestValidationError) -> str:
    """Which parameter, what was expected, in one line; the value only when it is short."""
    parts = []
    for each in error.errors()[:5]:
        where = ".".join(str(part) for part in each["loc"] if part not in ("query", "body"))
        value = repr(each.get("input"))
        got = f", got {value}" if len(value) <= 60 and each["type"] != "missing" else ""
        parts.append(f"{where or 'body'}: {each['msg']}{got}")
    return "; ".join(parts)


_OURS: tuple[tuple[type[EarmarkError], str], ...] = (  # subclasses first
    (UnknownClipError, "unknown-clip"),
    (ChangedError, "precondition-failed"),
    (AudioError, "not-a-sound"),
    (InputError, "invalid-request"),
)


def answer(error: Exception) -> JSONResponse:
    """The problem that an error is to the client; what it must not know goes to the log."""
    for kind, name in _OURS:
        if isinstance(error, kind):
            return problem(name, str(error))
    if isinstance(error, RequestValidationError):
        return problem("invalid-request", _validation_detail(error))
    if isinstance(error, HTTPException):
        plain = _BY_STATUS.get(error.status_code, "bad-request")
        name = error.name if isinstance(error, ProblemError) else plain
        return problem(name, str(error.detail), dict(error.headers or {}))
    if isinstance(error, StorageError):
        log.error("library: %s", error)
        return problem("unavailable", "the library cannot be read or written now")
    log.exception("unexpected error", exc_info=error)
    return problem("internal", "an unexpected error; the service's log tells more")


def install(app: FastAPI) -> None:
    """Let the application answer every error as a problem."""

    async def gone(_: Request, error: Exception) -> Response:
        del error
        return Response(status_code=GONE)  # which nobody reads

    async def handler(request: Request, error: Exception) -> JSONResponse:
        answered = answer(error)
        if answered.status_code == 405 and (methods := allowed(app, request.scope["path"])):
            answered.headers["Allow"] = methods
        return answered

    for left in (GoneError, ClientDisconnect):  # the latter amid its body
        app.add_exception_handler(left, gone)
    for kind in (RequestValidationError, HTTPException, EarmarkError, Exception):
        app.add_exception_handler(kind, handler)
