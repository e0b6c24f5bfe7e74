"""A sound of the library as an answer: whole or in ranges, and only if it has changed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from fastapi import Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from earmark.model.audio import formats
from earmark.service.http import etags
from earmark.service.http.file_names import inline
from earmark.service.http.problems import problem
from earmark.service.http.ranges import byte_ranges

REVALIDATE = {"Cache-Control": "no-cache"}  # clients may cache it, but must ask again


def sound_headers(state: os.stat_result, tag: str, title: str, suffix: str) -> dict[str, str]:
    """The headers of a sound that is saved under a title: `state` is its file's, `tag` its ETag."""
    return {
        "ETag": tag,
        "Last-Modified": formatdate(state.st_mtime, usegmt=True),
        "Content-Disposition": inline(title, suffix),
        "Content-Type": formats.media_type(suffix),
        **REVALIDATE,
    }


def is_current(asked: Headers, headers: Headers) -> bool:
    """Whether the client has the answer with these headers. An ETag goes before a date."""
    if (tags := asked.get("if-none-match")) is not None:
        return etags.matches(tags, headers["etag"])
    since = asked.get("if-modified-since")
    return since is not None and _is_since(headers["last-modified"], since)


def unchanged(headers: Mapping[str, str]) -> Response:
    """The answer that the client has what has these headers."""
    names = ("etag", "last-modified", "cache-control")
    kept = {name: value for name, value in headers.items() if name.lower() in names}
    return Response(None, 304, kept)


class SoundResponse(FileResponse):
    """A file whose `ETag` is `tag`, as clients ask for it: see `RFC 9110`, 13 and 14.

    `state`: of the file; `title`: its name for who saves it.
    """

    def __init__(self, path: Path, state: os.stat_result, tag: str, title: str) -> None:
        headers = sound_headers(state, tag, title, path.suffix.lower())
        media_type = headers.pop("Content-Type")
        super().__init__(path, media_type=media_type, headers=headers, stat_result=state)
        self._size = state.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request asks for."""
        asked = Headers(scope=scope)
        if is_current(asked, self.headers):
            await unchanged(self.headers)(scope, receive, send)
            return
        ranges = self._ranges(asked)
        if ranges == []:
            refusal = problem(
                "range-not-satisfiable",
                f"Range: the sound has {self._size} bytes",
                {"Content-Range": f"bytes */{self._size}"},
            )
            await refusal(scope, receive, send)
            return
        # The base class refuses what it cannot parse: it gets our reading of the header.
        headers = [field for field in scope["headers"] if field[0] not in (b"range", b"if-range")]
        if ranges is not None:
            listed = ",".join(f"{first}-{last}" for first, last in ranges)
            headers.append((b"range", f"bytes={listed}".encode()))
        await super().__call__({**scope, "headers": headers}, receive, send)

    def _ranges(self, asked: Headers) -> list[tuple[int, int]] | None:
        """The ranges to send, None for the whole file. If-Range asks for the state they are of."""
        header = asked.get("range")
        state = asked.get("if-range")
        if header is None or state not in (
            None, self.headers["etag"], self.headers["last-modified"]
        ):  # fmt: skip
            return None
        return byte_ranges(header, self._size)


def _is_since(changed: str, date: str) -> bool:
    """Whether a file is unchanged since a date of HTTP; not so where that cannot be read."""
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return False
