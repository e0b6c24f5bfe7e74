"""Middleware that makes errors readable to clients of OpenAI's form, at the addresses of it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from earmark.service.http.openai_errors import use_openai_errors


class OpenAIErrors:
    """Middleware: says for which requests problems hold `error` as well."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            use_openai_errors(scope["path"])
        await self.app(scope, receive, send)
