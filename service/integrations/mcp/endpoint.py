"""The protocol over HTTP: `POST /mcp`, one message in and one JSON answer out, without sessions.

Any worker of the service can answer any message. What a tool asks the service is a request of its
own, with the caller's key and address.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import INVALID_REQUEST, jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.auth.authorization import CALLER_HEADERS, MCP_PATH, Caller
from earmark.service.client.client import AsyncClient
from earmark.service.client.events import Retries
from earmark.service.http.problems import problem
from earmark.service.integrations.mcp.inside import Inside
from earmark.service.integrations.mcp.server import make_server
from earmark.service.integrations.mcp.tools import Access
from earmark.service.observability.logs import request_id
from earmark.service.schemas.clips import ClipBody

_HOST = re.compile(r"[\w.:\[\]-]{1,300}", re.ASCII)


class McpEndpoint:
    """The ASGI application of the address. `app`: the whole service; `may_write`: whether keys of
    scope write get the tools that write."""

    def __init__(self, app: ASGIApp, *, may_write: bool) -> None:
        self._app, self._may_write = app, may_write
        self._server = make_server(self._access)
        self._manager: StreamableHTTPSessionManager | None = None
        self.route = Route(MCP_PATH, self)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers for as long as the context lasts."""
        manager = StreamableHTTPSessionManager(self._server, json_response=True, stateless=True)
        async with manager.run():
            self._manager = manager
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        scope["route"] = self.route  # for metrics and the log
        if scope["method"] != "POST":
            detail = f"{MCP_PATH}: expected POST, got {scope['method']}"
            refusal = problem("method-not-allowed", detail, {"Allow": "POST"})
            await refusal(scope, receive, send)
            return
        body = await Request(scope, receive).body()  # bounded by the middleware
        try:
            jsonrpc_message_adapter.validate_json(body, by_name=False)
        except ValidationError:
            error = {"code": INVALID_REQUEST, "message": "body: expected one JSON-RPC message"}
            await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 400)(
                scope, receive, send
            )
            return
        assert self._manager is not None, "running"
        await self._manager.handle_request(scope, _replay(body, receive), send)

    @asynccontextmanager
    async def _access(self, request: Request) -> AsyncIterator[Access]:
        """What who sent a request may do: as if it had asked the service itself."""
        scope = request.scope
        caller: Caller = scope["state"]["caller"]
        headers = [each for each in scope["headers"] if each[0] in CALLER_HEADERS]
        headers.append((b"x-request-id", request_id.get().encode()))
        origin = _origin(scope["scheme"], request.headers.get("host", ""))

        def address(clip: ClipBody) -> str:
            return origin + clip.audio

        transport = Inside(self._app, scope.get("client"), headers)
        async with AsyncClient("http://inside", retries=Retries(0), transport=transport) as client:
            yield Access(client, address, writes=self._may_write and caller.may_write)


def _origin(scheme: str, host: str) -> str:
    """Where the caller reaches the service; empty where the host is none."""
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that begins with the body, which has been read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed
