"""Middleware that answers HEAD wherever GET is: with the head of that answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.streaming import HEAD_ALONE


class HeadRequests:
    """Middleware: passes a HEAD on as a GET, and leaves out what follows the answer's head.

    Files are not read to their end, and no stream goes on: once the head is sent, the client is
    reported to have disconnected. Ranges hold for GET alone (RFC 9110, 14.2).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        asked = False

        async def receive_nothing() -> Message:
            nonlocal asked
            if asked:  # until the client leaves, or has its answer
                while (message := await receive())["type"] != "http.disconnect":
                    pass
                return message
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        headers = [field for field in scope["headers"] if field[0] not in (b"range", b"if-range")]
        as_get = {**scope, "method": "GET", "headers": headers, HEAD_ALONE: True}
        try:
            await self.app(as_get, receive_nothing, send_head)
        finally:
            if "route" in as_get:  # for metrics and the log
                scope["route"] = as_get["route"]
