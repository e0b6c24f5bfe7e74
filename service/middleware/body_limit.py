"""Middleware that limits the size of request bodies and the time they take to arrive."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.http.forms import is_form
from earmark.service.http.openai_errors import EMBEDDINGS
from earmark.service.http.problems import ProblemError, problem

MAX_OTHER_BYTES = 1_000_000  # of a body that is no upload: JSON is parsed on the event loop
MAX_EMBEDDINGS_BYTES = 25_000_000  # of JSON with sounds: it is parsed in one piece, in a thread
MAX_FIELDS = 300  # of a form
MAX_FIELD_BYTES = 100_000
GRACE_SECONDS = 10.0  # in which a body may arrive at any rate
MIN_RATE = 1_000.0  # bytes a second after that


class BodyLimit:
    """Middleware: refuses a body over `max_bytes`, or one that takes more than `seconds`.

    A declared length is checked before anything is read, a chunked body as it arrives. Only the
    time spent waiting for the client counts.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if is_form(scope):
            limit = self.max_bytes
        else:
            other = MAX_EMBEDDINGS_BYTES if scope["path"] == EMBEDDINGS else MAX_OTHER_BYTES
            limit = min(self.max_bytes, other)
        declared = headers.get(b"content-length", b"0")
        detail = f"body: expected at most {limit} bytes, got more"
        # Python refuses to parse a length of thousands of digits.
        if not declared.isdigit() or len(declared) > 18 or int(declared) > limit:
            await problem("too-large", detail)(scope, receive, send)
            return
        received, waited, more = 0, 0.0, True

        async def limited_receive() -> Message:
            nonlocal received, waited, more
            if not more:
                return await receive()  # waits until the client disconnects: that may take long
            started = time.perf_counter()
            allowed = min(self.seconds, max(GRACE_SECONDS, received / MIN_RATE))
            try:
                async with asyncio.timeout(allowed - waited):
                    message = await receive()
            except TimeoutError as error:
                raise ProblemError(
                    "too-slow", f"body: expected within {allowed:.0f} s, got {received} bytes"
                ) from error
            waited += time.perf_counter() - started
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if received > limit:
                raise ProblemError("too-large", detail)
            return message

        await self.app(scope, limited_receive, send)
