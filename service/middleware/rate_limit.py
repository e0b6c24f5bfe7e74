"""Middleware that limits the rate of each client: a sliding window by key, else by address.

Answers under a rate carry RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers):
`q` requests in `w` seconds; `r` of them are left, and more are after `t` seconds. Counts are kept
in memory, of the latest clients only: an attacker with many addresses costs no more than that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

import limits
from cachetools import LRUCache
from limits.storage import SlidingWindowCounterSupport, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.auth.authorization import MCP_PATH, UPLOAD_PATHS, Caller, writes
from earmark.service.http.forms import is_form
from earmark.service.http.openai_errors import EMBEDDINGS
from earmark.service.http.problems import ProblemError, problem
from earmark.service.settings import Settings

MAX_CLIENTS = 20_000
CLIP_PARTS = ("/audio", "/waveform", "/spectrogram", "/similar")
STRETCH_PARAMETERS = frozenset({"start", "end", "format"})


@dataclass
class _Count:
    """A client's requests in a window of time, by the window's number, and in the one before."""

    window: int
    current: int = 0
    previous: int = 0


class RecentClients(Storage, SlidingWindowCounterSupport):
    """Counts of the latest clients, in memory. For one thread.

    The `limits` library's own memory storage walks through all its clients in a thread up to a
    hundred times a second, and has no bound on their number.
    """

    STORAGE_SCHEME = None

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        super().__init__()
        self._counts: LRUCache[str, _Count] = LRUCache(max_clients)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Required by `Storage`; memory does not fail."""
        return ValueError

    def _count(self, key: str, expiry: int, now: float) -> _Count:
        window = int(now // expiry)
        count = self._counts.get(key)
        if count is None:
            return _Count(window)
        if count.window != window:
            count.previous = count.current if count.window == window - 1 else 0
            count.window, count.current = window, 0
        return count

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Count `amount` more requests, if they are within the limit; whether they are."""
        now = time.time()
        count = self._count(key, expiry, now)
        share = 1 - now / expiry % 1  # of the previous window that still counts
        if math.floor(count.previous * share + count.current) + amount > limit:
            return False
        count.current += amount
        self._counts[key] = count
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count and seconds to live, of the previous window and of this one."""
        now = time.time()
        count = self._count(key, expiry, now)
        left = (1 - now / expiry % 1) * expiry
        return count.previous, left if count.previous else 0.0, count.current, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a client."""
        del expiry  # both windows are in one place
        self._counts.pop(key, None)

    def get(self, key: str) -> int:
        """A client's requests in its latest window."""
        count = self._counts.get(key)
        return count.current if count else 0

    def get_expiry(self, key: str) -> float:
        """Not supported: for fixed windows."""
        raise NotImplementedError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not supported: for fixed windows."""
        raise NotImplementedError

    def check(self) -> bool:
        """Whether the storage can be reached: always."""
        return True

    def reset(self) -> int:
        """Forget all clients; how many there were."""
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget a client."""
        self._counts.pop(key, None)


def rate_of(scope: Scope) -> str | None:
    """Which rate a request counts under: uploads, searches or writes; None for none.

    What is made of a clip's sound for one request costs as much as an upload.
    """
    path = scope["path"]
    if writes(scope):
        return "writes"
    if not path.startswith("/v1/") and path != MCP_PATH:
        return None
    is_upload = scope["method"] == "POST" and (
        path in UPLOAD_PATHS or (path == EMBEDDINGS and is_form(scope))
    )
    return "uploads" if is_upload or _decodes(scope) else "searches"


def count_uploads(request: Request, amount: int) -> None:
    """Count sounds that a request has brought beside what is counted already.

    Raises ProblemError (429) where they are more than the client has left.
    """
    if amount > 0:
        request.state.count_uploads(amount)


def _decodes(scope: Scope) -> bool:
    """Whether a request asks for a clip's timeline, a stretch of its sound, or another format; or
    for all sounds of a collection."""
    path = scope["path"]
    if path.startswith("/v1/collections/") and path.endswith("/export"):
        return True
    if scope["method"] not in ("GET", "HEAD") or not path.startswith("/v1/clips/"):
        return False
    if path.endswith("/timeline"):
        return True
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return path.endswith(CLIP_PARTS) and any(name in STRETCH_PARAMETERS for name, _ in query)


class RateLimits:
    """Middleware: refuses requests over a client's rate, and calls `on_refusal` for each."""

    def __init__(
        self, app: ASGIApp, settings: Settings, on_refusal: Callable[[], None] = lambda: None
    ) -> None:
        self.app, self._on_refusal = app, on_refusal
        self._loopback = settings.rate_loopback
        self._limiter = SlidingWindowCounterRateLimiter(RecentClients())
        self._rates = {
            name: limits.parse(rate)
            for name, rate in (
                ("uploads", settings.rate_uploads),
                ("searches", settings.rate_searches),
                ("writes", settings.rate_writes),
            )
            if rate
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        name = rate_of(scope) if scope["type"] == "http" else None
        if name is None:
            await self.app(scope, receive, send)
            return
        caller: Caller = scope["state"]["caller"]
        scope["state"]["count_uploads"] = partial(self._count, "uploads", caller)
        try:
            headers = self._count(name, caller)
        except ProblemError as error:
            refusal = problem(error.name, str(error.detail), dict(error.headers or {}))
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, _send_with(send, headers) if headers else send)

    def _count(self, name: str, caller: Caller, amount: int = 1) -> dict[str, str]:
        """Count requests under a rate; the headers of their answer, none where there is no rate.

        Raises ProblemError (429), with those headers, for more than the client has left.
        """
        rate = self._rates.get(name)
        if rate is None or not (caller.key or not caller.local or self._loopback):
            return {}
        client = caller.client
        admitted = self._limiter.hit(rate, name, client, cost=amount)
        stats = self._limiter.get_window_stats(rate, name, client)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        headers = {
            "RateLimit-Policy": f'"{name}";q={rate.amount};w={rate.get_expiry()}',
            "RateLimit": f'"{name}";r={stats.remaining};t={seconds}',
        }
        if not admitted:
            self._on_refusal()
            detail = f"{name}: expected at most {rate.amount} in {rate.get_expiry()} s, got more"
            raise ProblemError(
                "too-many-requests", detail, {**headers, "Retry-After": str(seconds)}
            )
        return headers


def _send_with(send: Send, headers: Mapping[str, str]) -> Send:
    """A `send` that adds headers to the answer."""
    more = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return send_with_headers
