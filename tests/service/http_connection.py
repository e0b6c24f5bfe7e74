"""A light HTTP/1.1 client that sends any bytes and returns the raw response.

Conventions: times in seconds of time.perf_counter(). Light, since it stands beside the server on
the same cores; and it sends what a well-kept client would refuse to.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

BOUNDARY = b"earmark-boundary"
LIMIT = 1 << 20  # bytes of an answer's head at most


class ClosedError(Exception):
    """The server closed the connection without an answer."""


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its head as it came, and its body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """A header's value, empty where there is none. `name`: in small letters."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name:
                return value.strip()
        return b""


class Wire:
    """One connection, opened when it is needed and again after the server has closed it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port, self._host = port, host
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, data: bytes, *, end: bool = False) -> Answer:
        """Send a request, or what is none, and read an answer. `end`: nothing more will be sent.

        Raises ClosedError where none comes.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=LIMIT)
        reader, writer = self._streams
        keep = False
        try:
            writer.write(data)
            if end:
                writer.write_eof()
            answer = await self._read(reader, data[:5] == b"HEAD ")
            keep = not end and b"close" not in answer.header(b"connection").lower()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ClosedError(type(error).__name__) from error
        else:
            return answer
        finally:
            if not keep:
                await self.close()

    async def _read(self, reader: asyncio.StreamReader, bare: bool) -> Answer:
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        answer = Answer(status, head, b"")
        if status == 100:
            return await self._read(reader, bare)
        if bare or status in {204, 304}:
            return answer
        if answer.header(b"transfer-encoding") == b"chunked":
            return Answer(status, head, await self._chunks(reader))
        length = answer.header(b"content-length")
        body = await (reader.readexactly(int(length)) if length else reader.read())
        return Answer(status, head, body)

    async def _chunks(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body

    async def close(self) -> None:
        """Close it at once, whatever is under way."""
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def get(path: str) -> bytes:
    """A request for an address."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes, kind: bytes) -> bytes:
    """A request with a body of that type."""
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (path.encode(), kind, len(body)) + body


def form(sound: bytes, name: bytes = b"a.ogg", **fields: bytes) -> bytes:
    """A multipart body with a sound in `file`."""
    parts = [
        b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (key.encode(), value)
        for key, value in fields.items()
    ]
    parts.append(
        b'Content-Disposition: form-data; name="file"; filename="%b"\r\n'
        b"Content-Type: audio/ogg\r\n\r\n%b" % (name, sound)
    )
    body = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY, part) for part in parts)
    return body + b"--%b--\r\n" % BOUNDARY


def upload(path: str, sound: bytes, **fields: bytes) -> bytes:
    """A request that uploads a sound."""
    return post(path, form(sound, **fields), b"multipart/form-data; boundary=" + BOUNDARY)
