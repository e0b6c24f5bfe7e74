"""Bare connections to a server: what no well-behaved client sends, and what comes back."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

from tests.service.server_process import Server


@contextlib.contextmanager
def connected(server: Server, window: int | None = None) -> Iterator[socket.socket]:
    """A bare connection. `window`: bytes that its receiving side holds at most."""
    with socket.socket() as connection:
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.port))
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            answer += part
    return answer


def drip(connection: socket.socket, data: bytes, pause: float = 0.2) -> float:
    """Send a byte at a time until the server has had enough; how long it bore it."""
    started = time.monotonic()
    connection.setblocking(False)
    for number in range(len(data)):
        with contextlib.suppress(BlockingIOError):
            connection.send(data[number : number + 1])
        time.sleep(pause)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            connection.recv(1, socket.MSG_PEEK)
            break
    connection.settimeout(60)
    return time.monotonic() - started


def refused(answer: bytes, status: int) -> str:
    """The type of the problem that an answer is."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"application/problem+json" in head
    return str(json.loads(body)["type"])


def parts_of(answer: bytes) -> dict[str, object]:
    """Headers and body of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:]
    return {"headers": [tuple(line.split(": ", 1)) for line in lines], "content": body}


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
