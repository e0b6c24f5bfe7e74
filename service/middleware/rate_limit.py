"""How often a client may ask: a sliding window by key, or by address where there is none.

Answers under a rate carry RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers):
`q` requests in `w` seconds; `r` of them are left, and more are after `t` seconds. Counts are kept
in memory, of the latest clients only: an attacker with many addresses costs no more than that.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import limits
from limits.storage import SlidingWindowCounterSupport, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.service.auth import client_address
from earmark.service.auth.authorization import UPLOADS, Client, writes
from earmark.service.http.problems import problem
from earmark.service.settings import Settings

MOST_CLIENTS = 20_000


@dataclass
class _Count:
    """What a client asked in a window of time, by its number, and in the one before it."""

    window: int
    now: int = 0
    before: int = 0


class RecentClients(Storage, SlidingWindowCounterSupport):
    """Counts of the latest clients, in memory. For one thread.

    The library's own memory store goes through all its clients in a thread up to a hundred times
    a second, and holds as many as there are.
    """

    STORAGE_SCHEME = None

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        super().__init__()
        self._most = most
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """Memory does not fail."""
        return ValueError

    def _count(self, key: str, expiry: int, now: float) -> _Count:
        window = int(now // expiry)
        count = self._counts.get(key)
        if count is None:
            return _Count(window)
        if count.window != window:
            count.before = count.now if count.window == window - 1 else 0
            count.window, count.now = window, 0
        return count

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        """Whether that many more fit; then they count."""
        now = time.time()
        count = self._count(key, expiry, now)
        left = 1 - now / expiry % 1  # the share of the window before that still counts
        if math.floor(count.before * left + count.now) + amount > limit:
            return False
        count.now += amount
        self._counts[key] = count
        self._counts.move_to_end(key)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Count and seconds to live, of the window before and of this one."""
        now = time.time()
        count = self._count(key, expiry, now)
        left = (1 - now / expiry % 1) * expiry
        return count.before, left if count.before else 0.0, count.now, left + expiry

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget a client."""
        del expiry  # both windows are in one place
        self._counts.pop(key, None)

    def get(self, key: str) -> int:
        """What a client has asked in its latest window."""
        count = self._counts.get(key)
        return count.now if count else 0

    def get_expiry(self, key: str) -> float:
        """Fixed windows are not kept."""
        raise NotImplementedError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Fixed windows are not kept."""
        raise NotImplementedError

    def check(self) -> bool:
        """Memory is there."""
        return True

    def reset(self) -> int:
        """Forget all clients; how many there were."""
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget a client."""
        self._counts.pop(key, None)


def kind_of(scope: Scope) -> str | None:
    """Which rate a request is under: uploads, searches or writes; None for none."""
    if writes(scope):
        return "writes"
    if not scope["path"].startswith("/v1/"):
        return None
    return "uploads" if scope["method"] == "POST" and scope["path"] in UPLOADS else "searches"


class RateLimits:
    """Middleware that refuses who asks too often. `refused` is called for each of them."""

    def __init__(
        self, app: ASGIApp, settings: Settings, refused: Callable[[], None] = lambda: None
    ) -> None:
        self.app, self._refused, self._loopback = app, refused, settings.rate_loopback
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
        name = kind_of(scope) if scope["type"] == "http" else None
        client: Client | None = scope["state"]["client"] if name in self._rates else None
        if name is None or client is None or not (client.key or not client.local or self._loopback):
            await self.app(scope, receive, send)
            return
        rate = self._rates[name]
        who = f"key {client.key}" if client.key else client_address.group(client.address)
        admitted = self._limiter.hit(rate, name, who)
        stats = self._limiter.get_window_stats(rate, name, who)
        seconds = max(1, math.ceil(stats.reset_time - time.time()))
        told = {
            "RateLimit-Policy": f'"{name}";q={rate.amount};w={rate.get_expiry()}',
            "RateLimit": f'"{name}";r={stats.remaining};t={seconds}',
        }
        if not admitted:
            self._refused()
            detail = f"{name}: expected at most {rate.amount} in {rate.get_expiry()} s, got more"
            headers = {**told, "Retry-After": str(seconds)}
            await problem("too-many-requests", detail, headers)(scope, receive, send)
            return
        await self.app(scope, receive, _telling(send, told))


def _telling(send: Send, told: Mapping[str, str]) -> Send:
    """A `send` that adds headers to the answer."""
    more = [(name.lower().encode(), value.encode()) for name, value in told.items()]

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *more]
        await send(message)

    return telling
