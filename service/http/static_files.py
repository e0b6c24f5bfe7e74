"""Files of the web page and of the documentation. They are small, and sent whole whatever range is
requested."""

from __future__ import annotations

from starlette.datastructures import URL
from starlette.responses import RedirectResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send


class WholeFiles(StaticFiles):
    """Static files without ranges: starlette refuses a malformed range with plain text."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = [field for field in scope["headers"] if field[0] != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


class PageFiles(WholeFiles):
    """The page's files, in a folder whose address ends in a slash."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if not scope["path"]:  # the page's addresses are relative: they need the slash
            await RedirectResponse(URL(scope={**scope, "path": "/"}))(scope, receive, send)
            return
        await super().__call__(scope, receive, send)
