"""A stretch of a sound as an answer: a file that is sent while it is made, if it has changed."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from earmark.model.core.errors import InputError
from earmark.service.http.problems import ClientGoneError
from earmark.service.http.sound_response import is_current, sound_headers, unchanged
from earmark.service.http.streaming import while_connected
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
        self._is_started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises what opening it does, and ClientGoneError before it has begun."""
        if is_current(Headers(scope=scope), self.headers):
            await unchanged(self.headers)(scope, receive, send)
            return
        try:
            await while_connected(Request(scope, receive), self._send(send), self._metrics)
        except ClientGoneError:
            if not self._is_started:
                raise

    async def _send(self, send: Send) -> None:
        async with self._open() as cut:
            if cut.size is None:
                del self.headers["content-length"]
            else:
                self.headers["content-length"] = str(cut.size)
            self._is_started = True
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            try:
                async for data in cut.content():
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            except (InputError, TimeoutError) as error:
                log.warning("a stretch is broken off: %s", error)
                return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
