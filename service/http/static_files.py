"""The web page's files. Small ones: they are sent whole, whatever part is asked for."""

from __future__ import annotations

from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send


class Pages(StaticFiles):
    """Static files without ranges, of which a broken one would be refused as plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = [field for field in scope["headers"] if field[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)
