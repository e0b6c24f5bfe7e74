"""Limits that act before the work: size and time of bodies as they arrive, uploads at once."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.problems import ProblemError, problem

MAX_PLAIN = 1_000_000  # bytes of a body that is no upload: JSON is parsed on the event loop
MAX_FIELDS = 300  # of a form
MAX_FIELD_BYTES = 100_000
PATIENCE = 10.0  # seconds in which a body may come as slowly as it likes
SLOWEST = 1_000.0  # bytes a second from then on


class BodyLimit:
    """Middleware: a body over `most` bytes, or later than `seconds`, is refused as it is known.

    A declared length is refused before anything is read; a chunked body when it passes it. Only
    the time that we wait for the client counts.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        self.app, self.most, self.seconds = app, most, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        upload = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        most = self.most if upload else min(self.most, MAX_PLAIN)
        declared = headers.get(b"content-length", b"0")
        detail = f"body: expected at most {most} bytes, got more"
        # A length of thousands of digits is no number that Python reads.
        if not declared.isdigit() or len(declared) > 18 or int(declared) > most:
            await problem("too-large", detail)(scope, receive, send)
            return
        arrived, waited, more = 0, 0.0, True

        async def limited() -> Message:
            nonlocal arrived, waited, more
            if not more:
                return await receive()  # waits until the client leaves: that may take long
            since = time.perf_counter()
            allowed = min(self.seconds, max(PATIENCE, arrived / SLOWEST))
            try:
                async with asyncio.timeout(allowed - waited):
                    message = await receive()
            except TimeoutError as error:
                raise ProblemError(
                    "too-slow", f"body: expected within {allowed:.0f} s, got {arrived} bytes"
                ) from error
            waited += time.perf_counter() - since
            arrived += len(message.get("body", b""))
            more = message.get("more_body", False)
            if arrived > most:
                raise ProblemError("too-large", detail)
            return message

        await self.app(scope, limited, send)
