"""A sound of the library as an answer: whole or in ranges, and only if it has changed."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate, parsedate_to_datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from earmark.model.audio import formats
from earmark.model.cloud.cloud_file import CloudFile, StoredFile
from earmark.service.http import etags
from earmark.service.http.file_names import inline
from earmark.service.http.problems import problem
from earmark.service.http.ranges import byte_ranges
from earmark.service.http.sound_state import translated_store_errors
from earmark.service.http.streaming import HEAD_ALONE, break_off, disconnected

log = logging.getLogger(__name__)

PIECE = 1 << 19  # bytes of a store's file fetched at a time
READERS = 16  # pieces fetched at once
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


def sound_response(file: StoredFile, state: os.stat_result, tag: str, title: str) -> Response:
    """The answer with a sound's file, of this machine or of a store: see the classes."""
    if isinstance(file, CloudFile):
        return CloudSoundResponse(file, state, tag, title)
    return SoundResponse(file, state, tag, title)


def _asked_ranges(scope: Scope, own: Headers, size: int) -> list[tuple[int, int]] | Response | None:
    """The ranges to send, None for the whole file, or the answer where no bytes of it are sent.

    If-Range asks for the state that ranges are of.
    """
    asked = Headers(scope=scope)
    if is_current(asked, own):
        return unchanged(own)
    header, state = asked.get("range"), asked.get("if-range")
    if header is None or state not in (None, own["etag"], own["last-modified"]):
        return None
    ranges = byte_ranges(header, size)
    if ranges == []:
        return problem(
            "range-not-satisfiable",
            f"Range: the sound has {size} bytes",
            {"Content-Range": f"bytes */{size}"},
        )
    return ranges


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
        ranges = _asked_ranges(scope, self.headers, self._size)
        if isinstance(ranges, Response):
            await ranges(scope, receive, send)
            return
        # The base class refuses what it cannot parse: it gets our reading of the header.
        headers = [field for field in scope["headers"] if field[0] not in (b"range", b"if-range")]
        if ranges is not None:
            listed = ",".join(f"{first}-{last}" for first, last in ranges)
            headers.append((b"range", f"bytes={listed}".encode()))
        await super().__call__({**scope, "headers": headers}, receive, send)


class CloudSoundResponse(Response):
    """A file of a store, as `SoundResponse` answers with one of this machine.

    It is fetched piece by piece, while its client takes them, and nothing but what was asked for.
    """

    def __init__(self, file: CloudFile, state: os.stat_result, tag: str, title: str) -> None:
        headers = sound_headers(state, tag, title, file.suffix.lower())
        super().__init__(headers={**headers, "Accept-Ranges": "bytes"})
        self._file, self._state, self._size = file, state, state.st_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the request asks for. Raises ProblemError (410, 503) before it has begun."""
        ranges = _asked_ranges(scope, self.headers, self._size)
        if isinstance(ranges, Response):
            await ranges(scope, receive, send)
            return
        pieces = self._pieces(self._layout(ranges))
        piece = b""
        if not scope.get(HEAD_ALONE):
            with translated_store_errors():
                piece = await anext(pieces, b"")
        status = 200 if ranges is None else 206
        await send({"type": "http.response.start", "status": status, "headers": self.raw_headers})
        gone = asyncio.ensure_future(disconnected(Request(scope, receive)))
        try:
            while piece and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = b"" if gone.done() else await anext(pieces, b"")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError as error:
            log.warning("a sound of a store is broken off: %s", error.strerror)
            break_off(scope)
        finally:
            gone.cancel()

    def _layout(self, ranges: list[tuple[int, int]] | None) -> list[_Part]:
        """What is sent for the ranges; the headers tell of it."""
        parts = [_Part(b"", 0, self._size)]
        if ranges is not None:
            parts = [_Part(b"", first, last + 1) for first, last in _merged(ranges)]
            places = [f"bytes {part.first}-{part.end - 1}/{self._size}" for part in parts]
            if len(parts) == 1:
                self.headers["content-range"] = places[0]
            else:
                boundary, kind = token_hex(13), self.headers["content-type"]
                heads = [
                    f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n"
                    for place in places
                ]
                parts = [
                    part._replace(head=head.encode())
                    for part, head in zip(parts, heads, strict=True)
                ]
                parts.append(_Part(f"\r\n--{boundary}--\r\n".encode(), 0, 0))
                self.headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
        length = sum(len(part.head) + part.end - part.first for part in parts)
        self.headers["content-length"] = str(length)
        return parts

    async def _pieces(self, parts: list[_Part]) -> AsyncIterator[bytes]:
        """Raises OSError, ConfigError."""
        is_first = True
        for part in parts:
            if part.head:
                yield part.head
            for first in range(part.first, part.end, PIECE):
                end = min(first + PIECE, part.end)
                is_checked = end == part.end and not is_first
                yield await anyio.to_thread.run_sync(
                    self._fetch, first, end, is_checked, limiter=_readers()
                )
                is_first = False

    def _fetch(self, first: int, end: int, is_checked: bool) -> bytes:
        """A piece, where `is_checked` only if it is of the same sound as those before."""
        data = self._file.read(first, end)
        if is_checked:
            now, then = self._file.stat(), self._state
            if (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
                raise OSError(errno.ESTALE, "replaced while it was sent")
        return data


class _Part(NamedTuple):
    """What is sent: some bytes, then those of the file from one on, before another."""

    head: bytes
    first: int
    end: int


@cache
def _readers() -> anyio.CapacityLimiter:
    """Of the threads that wait for stores: others go on while those do not answer."""
    return anyio.CapacityLimiter(READERS)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges (first, last) in order, those that touch as one: nothing is fetched twice."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges) if len(ranges) > 1 else ranges:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _is_since(changed: str, date: str) -> bool:
    """Whether a file is unchanged since a date of HTTP; not so where that cannot be read."""
    try:
        return parsedate_to_datetime(changed) <= parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        return False
