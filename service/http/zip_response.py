"""A ZIP as an answer: sent while it is made, as a whole or a range of it, and only if it has
changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from earmark.model.core.errors import InputError
from earmark.service.http import etags
from earmark.service.http.cut_response import CutFile, Pace, send_content
from earmark.service.http.problems import problem
from earmark.service.http.ranges import byte_ranges
from earmark.service.http.sound_response import REVALIDATE, unchanged
from earmark.service.http.streaming import break_off, disconnected

log = logging.getLogger(__name__)


class ZipResponse(Response):
    """A ZIP of `size` bytes, whose ETag is `tag`. `part`: its bytes from the first on, before the
    end; `place`: is closed when it has been sent.

    One that cannot be made to its end is broken off: the client can tell.
    """

    def __init__(
        self,
        part: Callable[[int, int], CutFile],
        size: int,
        tag: str,
        disposition: str,
        place: ExitStack,
    ) -> None:
        super().__init__(
            headers={
                "ETag": tag,
                "Content-Disposition": disposition,
                "Accept-Ranges": "bytes",
                **REVALIDATE,
            },
            media_type="application/zip",
        )
        self._part, self._size, self._place = part, size, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request asks for."""
        with self._place:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = Headers(scope=scope)
        if etags.matches(asked.get("if-none-match"), self.headers["etag"]):
            await unchanged(self.headers)(scope, receive, send)
            return
        ranges = self._ranges(asked)
        if ranges == []:
            refusal = problem(
                "range-not-satisfiable",
                f"Range: the archive has {self._size} bytes",
                {"Content-Range": f"bytes */{self._size}"},
            )
            await refusal(scope, receive, send)
            return
        first, last = ranges[0] if ranges else (0, self._size - 1)
        if ranges:
            self.headers["content-range"] = f"bytes {first}-{last}/{self._size}"
        self.headers["content-length"] = str(last + 1 - first)
        status = 206 if ranges else 200
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        gone = asyncio.ensure_future(disconnected(Request(scope, receive)))
        try:
            await send_content(self._part(first, last + 1), gone, Pace(send))
        except (InputError, TimeoutError) as error:
            log.warning("a ZIP is broken off: %s", error)
            break_off(scope)
        finally:
            gone.cancel()

    def _ranges(self, asked: Headers) -> list[tuple[int, int]] | None:
        """The range to send; an empty list where the archive has no such bytes; None for the whole:
        also for several ranges, and where If-Range names another state."""
        header, state = asked.get("range"), asked.get("if-range")
        if header is None or state not in (None, self.headers["etag"]):
            return None
        ranges = byte_ranges(header, self._size)
        return ranges if ranges is not None and len(ranges) <= 1 else None
