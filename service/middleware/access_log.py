"""Middleware that sees each request once: gives it an id, measures it, logs its access line.

One class for all three, because each layer of middleware costs time on every request. It stands
outside everything that may refuse a request, so that refusals are logged and counted as well.
"""

from __future__ import annotations

import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.problems import CLIENT_CLOSED_REQUEST, problem_response
from earmark.service.observability.logs import QUIET_PATHS, escaped, request_id, valid_or_new_id
from earmark.service.observability.metrics import UNMATCHED, Metrics

log = logging.getLogger("earmark.access")

MAX_PATH = 200  # characters of an address in the log


class AccessLog:
    """Middleware: request id, metrics, access line, and a response to any uncaught error."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self._active = 0
        metrics.watch("requests_in_work", lambda: self._active)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        new_id = valid_or_new_id(_header(scope, b"x-request-id"))
        # Never reset: each request is a task with its own context, and what is logged after the
        # response belongs to the request too.
        request_id.set(new_id)
        header = (b"x-request-id", new_id.encode())
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        self._active += 1
        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            if status:
                raise  # the server logs it and breaks the response off: the client can tell
            await problem_response(error)(scope, receive, send_with_id)
        finally:
            self._active -= 1
            self._record(scope, status or CLIENT_CLOSED_REQUEST, perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        self.metrics.observe_request(route, scope["method"], status, seconds)
        level = logging.DEBUG if scope["path"] in QUIET_PATHS else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "%s %s %d", scope["method"], _address(scope), status,
                    extra=_fields(scope, route, status, seconds))  # fmt: skip


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _address(scope: Scope) -> str:
    """The path as the client sent it, percent-encoded."""
    return escaped(scope.get("raw_path", b"").decode("latin-1")[:MAX_PATH])


def _fields(scope: Scope, route: str, status: int, seconds: float) -> dict[str, object]:
    """Fields of the access line beside its message."""
    fields: dict[str, object] = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1e3, 3),
    }
    caller = scope.get("state", {}).get("caller")  # set by service.auth, behind proxies too
    if address := getattr(caller, "address", None) or (scope.get("client") or [None])[0]:
        fields["client"] = str(address)
    if key := getattr(caller, "key", None):
        fields["key"] = str(key)  # its name
    if log.isEnabledFor(logging.DEBUG) and scope["query_string"]:
        fields["query"] = scope["query_string"].decode("latin-1")
    return fields
