"""Limits that act before the work: the size of bodies as they arrive, uploads at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ProblemError, problem

Result = TypeVar("Result")


class BodyLimit:
    """Middleware: a body over `most` bytes is refused as soon as that is known.

    A declared length is refused before anything is read; a chunked body when it passes it.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        detail = f"body: expected at most {self.most} bytes, got more"
        if not declared.isdigit() or int(declared) > self.most:
            await problem("too-large", detail)(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.most:
                raise ProblemError("too-large", detail)
            return message

        await self.app(scope, counted, send)


class Inference:
    """Runs uploads' work in a few threads, off the event loop; a full queue says so."""

    def __init__(self, threads: int, max_waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._max_waiting = max_waiting
        self._present = 0

    async def run(self, work: Callable[..., Result], *args: object, **kwargs: object) -> Result:
        """The result of `work`. Raises ProblemError (429) when too many wait already."""
        if self._present >= self._max_waiting:
            raise ProblemError(
                "busy",
                f"{self._max_waiting} uploads are in work or waiting",
                {"Retry-After": "1"},
            )
        self._present += 1
        try:
            return await anyio.to_thread.run_sync(
                functools.partial(work, *args, **kwargs), limiter=self._limiter
            )
        finally:
            self._present -= 1
