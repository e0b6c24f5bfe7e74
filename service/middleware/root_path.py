"""Middleware for a service under a path of a proxy: the rest of it sees no such path."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.addresses import use_root_path


class RootPath:
    """Middleware: takes `root_path` (`/sounds`) off the path of a request, unless the proxy has,
    and puts it before the addresses in the answer."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        use_root_path(self.root_path)
        path: str = scope["path"]
        if path == self.root_path or path.startswith(f"{self.root_path}/"):
            scope = {**scope, "path": path[len(self.root_path) :]}

        async def send_redirected(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 307:
                headers = MutableHeaders(raw=message["headers"])
                target = urlsplit(headers["location"])._replace(scheme="", netloc="")
                headers["location"] = self.root_path + target.geturl()
            await send(message)

        await self.app(scope, receive, send_redirected)
