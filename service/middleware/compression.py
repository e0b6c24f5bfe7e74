"""Middleware that compresses text for clients that take gzip.

Sounds are compressed already, and events must not wait for more of them. A compressed answer has a
weak entity tag: it is another sequence of bytes for the same content.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

import anyio.to_thread
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_DIGITS = 4  # of the length in bytes: from 1,000 on
MAX_SMALL_BYTES = 65_536  # compressed on the event loop, in well under a millisecond
# Level, window (2^13 bytes; 16: gzip's header), memory. A small answer gets no smaller with more:
# 20 us for ten hits, and 60 more for the memory of a full window.
SMALL = (3, 16 + 13, 6)
LARGE = (6, 16 + 15, 8)

_NOT_WHOLE = (b"content-encoding", b"content-range")
_TEXT = re.compile(
    rb"\s*(text/(?!event-stream)[\w.+-]+|application/([\w.+-]+\+)?(json|xml|javascript)"
    rb"|image/svg\+xml)\s*(;|$)",
    re.ASCII | re.IGNORECASE,
)


class Compression:
    """Middleware: compresses answers of text, from 1,000 bytes on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = known = b""
        for name, value in scope["headers"]:
            if name == b"accept-encoding":
                accepted += b"," + value
            elif name == b"if-none-match":
                known += b"," + value
        takes_gzip = accepted != b"" and accepts_gzip(accepted)
        await self.app(scope, receive, _Answer(send, takes_gzip, known).send)


class _Answer:
    """One answer: passed on as it comes, or gathered and compressed at its end.

    `known`: the tags of what the client has. An answer that it has compressed is confirmed (304)
    with the tag of that form.
    """

    def __init__(self, send: Send, takes_gzip: bool, known: bytes) -> None:
        self._send, self._takes_gzip, self._known = send, takes_gzip, known
        self._start: Message | None = None  # of an answer that will be compressed
        self._chunks: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take one message of the application."""
        if message["type"] == "http.response.start":
            if _can_shrink(message):
                if self._takes_gzip:
                    self._start = message
                    return
            elif message["status"] == 304 and b"W/" in self._known:
                self._confirm(MutableHeaders(raw=message["headers"]))
        elif self._start is not None:
            self._chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_compressed(self._start, b"".join(self._chunks))
            return
        await self._send(message)

    def _confirm(self, headers: MutableHeaders) -> None:
        tag = _weak(headers.get("etag", "").encode("latin-1"))
        if tag in self._known:
            headers["etag"] = tag.decode("latin-1")
            headers.add_vary_header("Accept-Encoding")

    async def _send_compressed(self, start: Message, body: bytes) -> None:
        if len(body) <= MAX_SMALL_BYTES:
            small = _compressed(body, *SMALL)
        else:
            small = await anyio.to_thread.run_sync(_compressed, body, *LARGE)
        headers = [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(small))]
        for name, value in start["headers"]:
            if name != b"content-length":
                headers.append((name, _weak(value) if name == b"etag" else value))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": small, "more_body": False})


def _compressed(body: bytes, level: int, window: int, memory: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, window, memory)
    return compressor.compress(body) + compressor.flush()


def _weak(tag: bytes) -> bytes:
    return b"W/" + tag.removeprefix(b"W/")


def _can_shrink(start: Message) -> bool:
    """Whether an answer is text, and long enough. If so, caches are told to tell clients apart.

    Streams do not tell their length. Every answer passes here: a walk over its headers has to do.
    """
    headers: list[tuple[bytes, bytes]] = start["headers"]
    length, kind, varies = b"", b"", False
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            kind = value
        elif name in _NOT_WHOLE:
            return False
        elif name == b"vary":
            varies = True
    if len(length) < MIN_DIGITS or not _is_text(kind):
        return False
    if varies:
        MutableHeaders(raw=headers).add_vary_header("Accept-Encoding")
    else:
        headers.append((b"vary", b"Accept-Encoding"))
    return True


@lru_cache(maxsize=256)
def _is_text(content_type: bytes) -> bool:
    return _TEXT.match(content_type) is not None


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether this header admits gzip: by name or by `*`, and with a weight above 0."""
    weights = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        weights[name] = not any(re.fullmatch(r"q=0(\.0*)?", part) for part in parameters)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", False)))
