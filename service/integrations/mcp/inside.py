"""Requests to the application in this process, without a socket: they pass all of its middleware.

So access, limits and turns hold for what a tool asks as for any other request.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from starlette.types import ASGIApp

Header = tuple[bytes, bytes]


class Inside(httpx.ASGITransport):
    """A transport of httpx to an application. `peer`: address and port that requests come from;
    `headers`: of each request, in place of its own of those names."""

    def __init__(
        self, app: ASGIApp, peer: tuple[str, int] | None, headers: Sequence[Header] = ()
    ) -> None:
        # httpx's type is narrower: an application may see a peer without an address.
        super().__init__(app, raise_app_exceptions=False, client=peer)  # type: ignore[arg-type]
        self._more = list(headers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        names = {name for name, _ in self._more}
        own = [each for each in request.headers.raw if each[0].lower() not in names]
        request.headers = httpx.Headers([*own, *self._more])
        return await super().handle_async_request(request)
