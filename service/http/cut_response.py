"""A stretch of a sound as an answer: a file that is sent while it is made, if it has changed."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

import anyio
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from earmark.model.core.errors import InputError
from earmark.service.http.sound_response import is_current, sound_headers, unchanged
from earmark.service.http.streaming import break_off, disconnected, while_connected
from earmark.service.observability.metrics import Metrics

log = logging.getLogger(__name__)

SLOWEST = 50_000  # bytes in a second that a client must receive
PATIENCE_SECONDS = 20.0  # that a client may be later than that
PART = 65_536  # bytes at a time: the least that a client is judged by


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
                await send_content(cut, gone, Pace(send))
            except (InputError, TimeoutError) as error:
                log.warning("a stretch is broken off: %s", error)
                break_off(scope)
            finally:
                gone.cancel()


class Pace:
    """Sends messages to a client that must keep a pace, of which it may be late for a while.

    Before the pace counts, a connection holds some bytes that the client has not received.
    """

    def __init__(self, send: Send) -> None:
        self._send, self._late = send, 0.0  # seconds

    async def send(self, message: Message) -> None:
        """Send a part of the body. Raises TimeoutError where the client is too slow."""
        due = len(message["body"]) / SLOWEST
        begun = time.monotonic()
        try:
            with anyio.fail_after(PATIENCE_SECONDS - self._late + due):
                await self._send(message)
        except TimeoutError as error:
            raise TimeoutError(
                f"its client receives less than {SLOWEST // 1_000} kB in a second"
            ) from error
        self._late = max(self._late + time.monotonic() - begun - due, 0.0)


async def send_content(cut: CutFile, gone: asyncio.Future[None], pace: Pace) -> None:
    """Send the bytes, as long as the client is there. Raises as `CutFile.content`."""
    async for data in cut.content():
        if gone.done():
            return
        for start in range(0, len(data), PART):
            if gone.done():
                return
            part = data[start : start + PART]
            await pace.send({"type": "http.response.body", "body": part, "more_body": True})
    await pace.send({"type": "http.response.body", "body": b"", "more_body": False})
