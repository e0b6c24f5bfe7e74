"""Searches by words of many requests at once: what waits is the next batch, since searches cost
less together. The event loop never searches: a query of misspelt words alone takes 75 ms.

One thread works at a time where a search is short, as in a library of some ten thousand sounds:
more would only fight for the interpreter. Where it is long they work side by side. What searches
took lately decides.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from index.errors import CursorError
from index.library import Found, Search
from service.errors import ProblemError
from service.metrics import Metrics

BATCH = 32  # searches
BATCH_SECONDS = 0.02  # of work in a batch, by what searches took lately
LONG_SECONDS = 0.003  # of work in a search, from which threads work side by side

Answer = Found | CursorError
SearchMany = Callable[[Sequence[Search]], list[Answer]]


@dataclass(frozen=True, eq=False, slots=True)
class _Item:
    search: Search
    since: float
    answer: asyncio.Future[Found]


class Searches:
    """Runs searches, for one event loop. `most`: that wait; `deadline`: seconds of waiting."""

    def __init__(
        self, search_many: SearchMany, metrics: Metrics, *, most: int, deadline: float
    ) -> None:
        self._search_many, self._metrics = search_many, metrics
        self._most, self._deadline = most, deadline
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Item] = deque()
        self._seconds = LONG_SECONDS  # of work in a search, lately; a guess at first
        self._working = 0  # threads
        self._closed = False
        self._changed = threading.Condition()
        metrics.watch("searches_waiting", lambda: len(self._waiting))
        self._threads = [
            threading.Thread(target=self._work, name=f"search-{number}", daemon=True)
            for number in range(os.cpu_count() or 1)
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    async def search(self, search: Search) -> Found:
        """Raises CursorError, ProblemError (429, 504), and what the library raises."""
        if len(self._waiting) >= self._most:
            self._metrics.rejected("busy")
            raise ProblemError("busy", f"{self._most} searches are waiting", {"Retry-After": "1"})
        item = _Item(search, time.monotonic(), self._loop.create_future())
        with self._changed:
            self._waiting.append(item)
            self._changed.notify()
        return await item.answer

    def _taken(self) -> list[_Item]:
        """A batch of what waits."""
        most = min(BATCH, max(1, int(BATCH_SECONDS / max(self._seconds, 1e-6))))
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def _work(self) -> None:
        """What a thread does."""
        while True:
            with self._changed:
                self._changed.wait_for(self._wanted)
                if not self._waiting:
                    return
                batch = self._taken()
                self._working += 1
            items, answers = self._answered(batch)
            self._loop.call_soon_threadsafe(_give, items, answers)
            with self._changed:
                self._working -= 1
                self._changed.notify()

    def _wanted(self) -> bool:
        """Whether there is something for one more thread to do: a batch, or to end."""
        if not self._waiting:
            return self._closed
        return not self._working or self._seconds >= LONG_SECONDS

    def _answered(
        self, batch: Sequence[_Item]
    ) -> tuple[Sequence[_Item], Sequence[Found | Exception]]:
        """A batch and its answers; those that are late are refused without a search."""
        late = time.monotonic() - self._deadline
        wanted = [item for item in batch if item.since >= late and not item.answer.done()]
        refused = [item for item in batch if item.since < late]
        for _ in refused:
            self._metrics.rejected("deadline")
        problem = ProblemError("deadline", f"no search within {self._deadline:g} s")
        return [*wanted, *refused], [*self._searched(wanted), *[problem] * len(refused)]

    def _searched(self, batch: Sequence[_Item]) -> Sequence[Found | Exception]:
        if not batch:
            return []
        begun = time.thread_time()
        try:
            with self._metrics.stage("search"):
                answers = self._search_many([item.search for item in batch])
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            return [error] * len(batch)
        took = (time.thread_time() - begun) / len(batch)
        self._seconds += 0.05 * (took - self._seconds)
        return answers


def _give(batch: Sequence[_Item], answers: Sequence[Found | Exception]) -> None:
    """All answers in one turn of the event loop."""
    for item, answer in zip(batch, answers, strict=True):
        if item.answer.done():
            continue  # its client has gone
        if isinstance(answer, Exception):
            item.answer.set_exception(answer)
        else:
            item.answer.set_result(answer)
