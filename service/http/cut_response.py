"""A stretch of a sound as an answer: a file that is sent while it is made, if it has changed."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from earmark.model.core.errors import InputError
from earmark.service.http.sound_response import is_current, sound_headers, unchanged
from earmark.service.http.streaming import disconnected, while_connected
from earmark.service.observability.metrics import Metrics

log = logging.getLogger(__name__)


class CutFile(Protocol):
    """A file that is being made. `size`: in bytes, None where that is not known yet."""

    size: int | None

    def content(self) -> AsyncIterator[bytes]:
        """Its bytes. Raises InputError, TimeoutError."""


class CutResponse(Response):
    """A file that `open_cut` makes, whose `ETag` is `tag`.

    `state`: of the file that it is cut out of; `name`: to save it under, with its suffix.
    A file that cannot be made to its end is broken off: the client can tell.
    """

    def __init__(
        self,
        open_cut: Callable[[], AbstractAsyncContextManager[CutFile]],
        state: os.stat_result,
        tag: str,
        name: tuple[str, str],
        metrics: Metrics,
    ) -> None:
        title, suffix = name
        super().__init__(
            headers={**sound_headers(state, tag, title, suffix), "Accept-Ranges": "none"}
        )
        self._open, self._metrics = open_cut, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises what opening it does, and ClientGoneError before it has begun."""
        if is_current(Headers(scope=scope), self.headers):
            await unchanged(self.headers)(scope, receive, send)
            return
        request = Request(scope, receive)
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(self._open())
            cut = await while_connected(request, opening, self._metrics)
            if cut.size is None:
                del self.headers["content-length"]
            else:
                self.headers["content-length"] = str(cut.size)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            gone = asyncio.ensure_future(disconnected(request))
            try:
                await _send_content(cut, gone, send)
            finally:
                gone.cancel()


async def _send_content(cut: CutFile, gone: asyncio.Future[None], send: Send) -> None:
    """Send the bytes, as long as the client is there."""
    try:
        async for data in cut.content():
            if gone.done():
                return
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except (InputError, TimeoutError) as error:
        log.warning("a stretch is broken off: %s", error)
        return
    await send({"type": "http.response.body", "body": b"", "more_body": False})
