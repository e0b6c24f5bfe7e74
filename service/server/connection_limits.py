"""HTTP/1.1 on a socket, as uvicorn speaks it, with limits on what comes before any application.

uvicorn by itself waits for a request's head for ever and keeps all of it, and waits for ever for a
client that does not read. Here a head (request line and fields) has a size and a time, what is
sent needs a reader, and of too many connections those without a request make room.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sys
import termios
from collections.abc import Iterable
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from earmark.service.http.problems import problem
from earmark.service.settings import Settings

log = logging.getLogger(__name__)

MAX_HEAD = 32_768  # bytes of request line and fields
MAX_FIELDS = 100
SLOWEST = 1_000.0  # bytes a second that a client must take while we wait for it


class LimitedProtocol(HttpToolsProtocol):
    """One connection. The class attributes are the limits: see `limited`."""

    head_seconds = 10.0
    write_seconds = 30.0
    max_connections = 4_096

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._refusal = ("bad-request", "the request is not HTTP/1.1")
        self._unread = 0  # bytes that came since the parser could last pass something on
        self._head = 0  # bytes of the head that is being read
        self._fields = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._working: RequestResponseCycle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is in work."""
        return self.cycle is None or self.cycle.response_complete

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for this one where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            every: Iterable[Any] = self.connections
            idle = (each for each in every if each is not self and getattr(each, "idle", False))
            next(idle, self)._abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave no timer behind."""
        _stop(self._head_timer)
        self._head_timer = None
        _stop(self._write_timer)
        self._write_timer = None
        self._give_up()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn keeps that of a connection that was reset

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Remember the request in work: uvicorn knows the latest, which may wait behind it."""
        self._working = cycle
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        """Nobody is there to answer: no more is written, which on a closed socket would fail."""
        if self._working is not None:
            self._working.disconnected = True
            self._working.message_event.set()
        self.pipeline.clear()

    def _abort(self) -> None:
        self._give_up()
        self.transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Count what comes, and time what comes before a request has its head."""
        if self.idle:
            self._await_head()
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD and not self.transport.is_closing():
            self._refuse("headers-too-large", f"head: expected at most {MAX_HEAD} bytes, got more")

    def on_message_begin(self) -> None:
        """Count anew."""
        super().on_message_begin()
        self._head = self._fields = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        super().on_url(url)
        self._head += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a field; those after a chunked body are dropped."""
        if self._in_head:
            super().on_header(name, value)
            self._head += len(name) + len(value) + 4
            self._fields += 1

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large."""
        self._in_head = False
        if self._head > MAX_HEAD or self._fields > MAX_FIELDS:
            limits = f"{MAX_HEAD} bytes and {MAX_FIELDS} fields"
            self._refusal = ("headers-too-large", f"head: expected at most {limits}, got more")
            raise ValueError(self._refusal[1])  # makes the parser fail, which is answered below
        self._unread = 0
        _stop(self._head_timer)
        self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass it on."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is all there."""
        self._unread = 0
        _stop(self._head_timer)
        self._head_timer = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser could not read, as a problem."""
        del msg  # uvicorn's
        self._refuse(*self._refusal)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        """Nothing came, or not all of a head, or still the body of an answered request."""
        self._head_timer = None
        if self.transport.is_closing() or not self.idle:
            return
        if self._unread and self._in_head:
            self._refuse("too-slow", f"head: expected within {self.head_seconds:g} s")
        else:
            self._close()

    def _refuse(self, name: str, detail: str) -> None:
        """Answer with a problem, without the application, and close."""
        working = self._working
        if working is not None and working.response_started and not working.response_complete:
            self._abort()  # amid another answer
            return
        answer = problem(name, detail, {"Connection": "close", "X-Content-Type-Options": "nosniff"})
        fields = (*self.server_state.default_headers, *answer.raw_headers)
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n" % (answer.status_code, head))
        self.transport.write(answer.body)
        self._close()

    # Writing

    def pause_writing(self) -> None:
        """The client reads slower than we write: see that it does read."""
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        """It does."""
        _stop(self._write_timer)
        self._write_timer = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """See that the end of an answer is taken as well, and wait for no body it did not need."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reader()
        elif self.cycle.more_body:
            self._await_head()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._watch_reader()

    def _close(self) -> None:
        self.transport.close()
        self._watch_reader()

    def _watch_reader(self) -> None:
        self._unsent = self._waiting()
        if self._unsent and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self._reader_is_late)

    def _reader_is_late(self) -> None:
        """Cut the client off, unless it has taken something worth the wait."""
        self._write_timer = None
        before = self._unsent
        if before - self._waiting() >= min(before, SLOWEST * self.write_seconds):
            self._watch_reader()
        else:
            log.info("a client took too little in %g s: cut off", self.write_seconds)
            self._abort()

    def _waiting(self) -> int:
        """Bytes that the client has not taken: here, and in the system, which takes megabytes."""
        here = self.transport.get_write_buffer_size()
        file = self.transport.get_extra_info("socket").fileno()
        if file < 0:  # closed by now
            return here
        try:
            held = fcntl.ioctl(file, termios.TIOCOUTQ, bytes(4))
        except OSError:  # a system that does not tell
            return here
        return here + int.from_bytes(held, sys.byteorder)


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def limited(settings: Settings) -> type[LimitedProtocol]:
    """The protocol with the limits of these settings, for uvicorn's `http`."""

    class Protocol(LimitedProtocol):
        head_seconds = settings.head_seconds
        write_seconds = settings.write_seconds
        max_connections = settings.max_connections

    return Protocol
