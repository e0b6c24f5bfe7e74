"""Middleware that sees each request once: gives it an id, counts and times it, logs its line.

One class, since each layer costs every request. It stands outside of all that may refuse a request,
so that refusals are seen as well.
"""

from __future__ import annotations

import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.problems import GONE, answer
from earmark.service.observability.logs import escaped, id_of, request_id
from earmark.service.observability.metrics import UNMATCHED, Metrics

log = logging.getLogger("earmark.access")

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
MAX_PATH = 200  # letters of an address in the log


class Observing:
    """Middleware: request id, metrics, access log, and an answer where all else failed."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self._in_work = 0
        metrics.watch("requests_in_work", lambda: self._in_work)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        since = perf_counter()
        own = id_of(_header(scope, b"x-request-id"))
        # Never reset: each request is a task with a context of its own, and what is said after
        # its answer belongs to it too.
        request_id.set(own)
        header = (b"x-request-id", own.encode())
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        self._in_work += 1
        try:
            await self.app(scope, receive, sending)
        except Exception as error:
            if status:
                raise  # the server logs it, and cuts the answer short: a client can tell
            await answer(error)(scope, receive, sending)
        finally:
            self._in_work -= 1
            self._tell(scope, status or GONE, perf_counter() - since)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        self.metrics.answered(route, scope["method"], status, seconds)
        level = logging.DEBUG if scope["path"] in PROBES else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "%s %s %d", scope["method"], _address(scope), status,
                    extra=_fields(scope, route, status, seconds))  # fmt: skip


def _header(scope: Scope, name: bytes) -> str:
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _address(scope: Scope) -> str:
    """The path as it was sent, percent-encoded."""
    return escaped(scope.get("raw_path", b"").decode("latin-1")[:MAX_PATH])


def _fields(scope: Scope, route: str, status: int, seconds: float) -> dict[str, object]:
    """What the access line holds beside its message."""
    fields: dict[str, object] = {
        "method": scope["method"],
        "route": route,
        "status": status,
        "duration_ms": round(seconds * 1e3, 3),
    }
    asker = scope.get("state", {}).get("client")  # of service.auth, behind proxies too
    if address := getattr(asker, "address", None) or (scope.get("client") or [None])[0]:
        fields["client"] = str(address)
    if key := getattr(asker, "key", None):
        fields["key"] = str(key)  # its name
    if log.isEnabledFor(logging.DEBUG) and scope["query_string"]:
        fields["query"] = scope["query_string"].decode("latin-1")
    return fields
