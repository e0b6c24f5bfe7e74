"""Load on a server: so many requests at once, or so many a second whatever it does with them.

Latency in milliseconds. In an open loop it counts from when a request was due, not from when it
was sent: a server that stalls is charged for all that should have come meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tests.service.http_connection import Answer, ClosedError, Wire

Request = Callable[[], bytes]

MOST_OPEN = 2_000  # requests of an open loop under way: over it, they are counted as not sent


@dataclass
class Outcome:
    """How many answers of each status, how long those took, and for how long load was made."""

    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)

    def take(self, status: str, milliseconds: float) -> None:
        """Count an answer."""
        self.counts[status] += 1
        self.times.setdefault(status, []).append(milliseconds)

    def rate(self, status: str = "200") -> float:
        """Answers a second."""
        return self.counts[status] / self.seconds

    def at(self, percent: float, status: str = "200") -> float:
        """A percentile of the latency; NaN where there is none."""
        times = self.times.get(status)
        return float(np.percentile(times, percent)) if times else float("nan")


async def ask(wire: Wire, data: bytes, since: float, outcome: Outcome) -> None:
    """Send a request, and take how its answer came. `since`: when it was due."""
    try:
        answer: Answer = await wire.ask(data)
        status = str(answer.status)
    except (ClosedError, OSError) as error:
        status = type(error).__name__
    outcome.take(status, 1000 * (time.perf_counter() - since))


async def closed(port: int, request: Request, at_once: int, seconds: float) -> Outcome:
    """Each of `at_once` clients sends its next request when it has its answer."""
    outcome = Outcome()
    begun = time.perf_counter()

    async def client() -> None:
        wire = Wire(port)
        while time.perf_counter() < begun + seconds:
            await ask(wire, request(), time.perf_counter(), outcome)
        await wire.close()

    await asyncio.gather(*(client() for _ in range(at_once)))
    outcome.seconds = time.perf_counter() - begun
    return outcome


async def opened(port: int, request: Request, rate: float, seconds: float) -> Outcome:
    """`rate` requests a second at random (Poisson), whatever becomes of those before."""
    outcome, generator = Outcome(), np.random.default_rng(0)
    idle: list[Wire] = []
    open_: set[asyncio.Task[None]] = set()
    begun = due = time.perf_counter()

    async def one(data: bytes, since: float) -> None:
        wire = idle.pop() if idle else Wire(port)
        await ask(wire, data, since, outcome)
        idle.append(wire)

    while (due := due + generator.exponential(1 / rate)) < begun + seconds:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        if len(open_) >= MOST_OPEN:
            outcome.counts["not sent"] += 1
            continue
        task = asyncio.ensure_future(one(request(), due))
        open_.add(task)
        task.add_done_callback(open_.discard)
    outcome.seconds = time.perf_counter() - begun
    await asyncio.gather(*open_)
    await asyncio.gather(*(wire.close() for wire in idle))
    return outcome
