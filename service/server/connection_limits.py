"""Limits on connections, in a subclass of uvicorn's HTTP/1.1 protocol.

uvicorn sets no limit on the size of a request's head (request line and header fields), on the time
that it takes to arrive, or on the time that a client takes to read an answer. This protocol limits
all three, and the number of connections: above it, one without a request is closed.

It uses parts of uvicorn that are not documented: `earmark.service.server.uvicorn_interface`.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import sys
import termios
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from earmark.service.http.addresses import use_root_path
from earmark.service.http.problems import problem
from earmark.service.http.streaming import BREAK_OFF
from earmark.service.server.uvicorn_interface import check_uvicorn
from earmark.service.settings import Settings

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

log = logging.getLogger(__name__)

MAX_HEAD = 32_768  # bytes of request line and header fields
MAX_FIELDS = 100
MIN_READ_RATE = 1_000.0  # bytes a second that a client must read while an answer waits for it


class LimitedProtocol(HttpToolsProtocol):
    """One connection. The class attributes are the limits, which `limited_protocol` sets."""

    head_seconds = 10.0
    write_seconds = 30.0
    max_connections = 4_096
    address_root = ""  # uvicorn has a `root_path` of its own

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._refusal = ("bad-request", "the request is not HTTP/1.1")
        self._unparsed = 0  # bytes received since the parser last passed something on
        self._head_size = 0  # bytes of the head that is being read
        self._field_count = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._current: RequestResponseCycle | None = None  # the request in work

    @property
    def idle(self) -> bool:
        """Whether no request is in work."""
        return self.cycle is None or self.cycle.response_complete

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close an idle connection, or else this one, where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            connections: Iterable[Any] = self.connections
            others = (other for other in connections if other is not self)
            idle = (other for other in others if getattr(other, "idle", False))
            next(idle, self)._abort()
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        _cancel(self._head_timer)
        self._head_timer = None
        _cancel(self._write_timer)
        self._write_timer = None
        self._drop_requests()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn leaves it running when a client resets

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Note the request in work: uvicorn's `cycle` is the latest, which may wait behind it."""
        self._current = cycle
        cycle.scope["extensions"] = {BREAK_OFF: {"call": self._break_off}}
        super()._start_asgi_task(cycle, app)

    def _drop_requests(self) -> None:
        """Drop the requests: nobody reads the answers, and writing to a closed socket fails."""
        if self._current is not None:
            self._current.disconnected = True
            self._current.message_event.set()
        self.pipeline.clear()

    def _break_off(self) -> None:
        """Close amid an answer: uvicorn would log an application that does so as faulty."""
        self._drop_requests()
        self._close()

    def _abort(self) -> None:
        self._drop_requests()
        self.transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head, and time it."""
        if self.idle:
            self._start_head_timer()
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD and not self.transport.is_closing():
            self._refuse("headers-too-large", f"head: expected at most {MAX_HEAD} bytes, got more")

    def on_message_begin(self) -> None:
        """Start counting a head."""
        super().on_message_begin()
        self._head_size = self._field_count = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        super().on_url(url)
        self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field; drop the trailers of a chunked body."""
        if self._in_head:
            super().on_header(name, value)
            self._head_size += len(name) + len(value) + 4
            self._field_count += 1

    def on_headers_complete(self) -> None:
        """Start the request, unless its head is too large."""
        self._in_head = False
        if self._head_size > MAX_HEAD or self._field_count > MAX_FIELDS:
            limits = f"{MAX_HEAD} bytes and {MAX_FIELDS} fields"
            self._refusal = ("headers-too-large", f"head: expected at most {limits}, got more")
            raise ValueError(self._refusal[1])  # the parser fails: `send_400_response`
        self._unparsed = 0
        _cancel(self._head_timer)
        self._head_timer = None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._unparsed = 0
        _cancel(self._head_timer)
        self._head_timer = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser refused with a problem, not uvicorn's message."""
        del msg
        self._refuse(*self._refusal)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        """The time is over: for a head, for another request, or for an unneeded body to end."""
        self._head_timer = None
        if self.transport.is_closing() or not self.idle:
            return
        if self._unparsed and self._in_head:
            self._refuse("too-slow", f"head: expected within {self.head_seconds:g} s")
        else:
            self._close()

    def _refuse(self, name: str, detail: str) -> None:
        """Answer with a problem, past the application, and close."""
        current = self._current
        if current is not None and current.response_started and not current.response_complete:
            self._abort()  # an answer is half sent
            return
        use_root_path(self.address_root)
        answer = problem(name, detail, {"Connection": "close", "X-Content-Type-Options": "nosniff"})
        fields = (*self.server_state.default_headers, *answer.raw_headers)
        head = b"".join(b"%b: %b\r\n" % field for field in fields)
        self.transport.write(b"HTTP/1.1 %d \r\n%b\r\n" % (answer.status_code, head))
        self.transport.write(answer.body)
        self._close()

    # Writing

    def pause_writing(self) -> None:
        """The buffer is full: check that the client reads."""
        super().pause_writing()
        self._watch_client()

    def resume_writing(self) -> None:
        """The client has read."""
        _cancel(self._write_timer)
        self._write_timer = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Check that the client reads the rest, and that an unneeded body ends in time."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_client()
        elif self.cycle.more_body:
            self._start_head_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Close: no further request came."""
        super().timeout_keep_alive_handler()
        self._watch_client()

    def _close(self) -> None:
        self.transport.close()
        self._watch_client()

    def _watch_client(self) -> None:
        self._unsent = self._unsent_bytes()
        if self._unsent and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.write_seconds, self._check_client)

    def _check_client(self) -> None:
        """Abort unless the client has read fast enough since the last look."""
        self._write_timer = None
        before = self._unsent
        if before - self._unsent_bytes() >= min(before, MIN_READ_RATE * self.write_seconds):
            self._watch_client()
        else:
            log.info("a client read too little in %g s: cut off", self.write_seconds)
            self._abort()

    def _unsent_bytes(self) -> int:
        """Bytes that the client has not acknowledged: in our buffer and in the system's."""
        here = self.transport.get_write_buffer_size()
        file = self.transport.get_extra_info("socket").fileno()
        if file < 0:  # closed
            return here
        try:
            in_system = fcntl.ioctl(file, termios.TIOCOUTQ, bytes(4))
        except OSError:  # not offered by this system
            return here
        return here + int.from_bytes(in_system, sys.byteorder)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def limited_protocol(settings: Settings) -> type[LimitedProtocol]:
    """The protocol class with the limits of these settings, for uvicorn's `http`.

    Raises ConfigError for a uvicorn that it does not fit.
    """
    check_uvicorn()

    class Protocol(LimitedProtocol):
        head_seconds = settings.head_seconds
        write_seconds = settings.write_seconds
        max_connections = settings.max_connections
        address_root = settings.root_path

    return Protocol
