"""Searches by words of many requests: what waits when somebody is free to search is the next batch,
since searches cost less together. The event loop itself never searches: a query of misspelt words
alone takes 75 ms.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import islice

from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.search.batch import Answer, Answers, Ask
from earmark.service.search.processes import EndedError, Hand

BATCH = 32  # searches
BATCH_SECONDS = 0.02  # of work in a batch, by what searches took lately
LONG_SECONDS = 0.003  # of work in a search, from which several search side by side
RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, eq=False, slots=True)
class _Item:
    ask: Ask
    since: float
    answer: asyncio.Future[Answer]


class Searches:
    """Runs searches for one event loop.

    `hands`: who searches, in processes or threads. Where searches are short, as in a library of
    some ten thousand sounds, the first does all: batches are larger then, and the cores are left
    to HTTP. Where they are long, all work side by side. `most`: searches that wait; `deadline`:
    seconds that each may wait.
    """

    def __init__(
        self, hands: Sequence[Hand], metrics: Metrics, *, most: int, deadline: float
    ) -> None:
        self._hands = dict.fromkeys(hands, 0)  # and the batches that each has
        self._metrics, self._most, self._deadline = metrics, most, deadline
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Item] = deque()
        self._seconds = 0.0  # of work in a search, lately
        self._batches: set[asyncio.Task[None]] = set()
        self._beginning = False
        metrics.watch("searches_waiting", lambda: len(self._waiting))

    async def search(self, ask: Ask) -> Answer:
        """Raises CursorError, ProblemError (429, 503, 504), and what the library raises."""
        if len(self._waiting) >= self._most:
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._most} searches are waiting", RETRY)
        item = _Item(ask, time.monotonic(), self._loop.create_future())
        self._waiting.append(item)
        if not self._beginning:
            # At the loop's next turn: what arrives in this one comes along.
            self._beginning = True
            self._loop.call_soon(self._begin)
        with self._metrics.span("search"):
            return await item.answer

    async def close(self) -> None:
        """Answer what waits, then end those who search."""
        while self._batches:
            await asyncio.wait(self._batches)
        for hand in self._hands:
            hand.close()

    def _begin(self) -> None:
        """Give what waits to those who are free."""
        self._beginning = False
        while self._waiting and (hand := self._free()) is not None:
            if batch := self._taken():
                self._hands[hand] += 1
                # In no request's trace: it is of several.
                task = self._loop.create_task(self._run(hand, batch), context=Context())
                self._batches.add(task)
                task.add_done_callback(self._batches.discard)

    def _free(self) -> Hand | None:
        if self._seconds < LONG_SECONDS:
            # One more for each full batch that waits behind those in work.
            some = 1 + len(self._waiting) // BATCH
            hands = islice(self._hands.items(), some)
            return next((hand for hand, batches in hands if batches < hand.depth), None)
        return next((hand for hand, batches in self._hands.items() if not batches), None)

    def _taken(self) -> list[_Item]:
        """A batch of what waits; what is late is refused."""
        most = min(BATCH, max(1, int(BATCH_SECONDS / max(self._seconds, 1e-6))))
        late = time.monotonic() - self._deadline
        batch: list[_Item] = []
        while self._waiting and len(batch) < most:
            item = self._waiting.popleft()
            if item.answer.done():
                continue  # its client has gone
            if item.since < late:
                self._metrics.count_rejection("deadline")
                problem = ProblemError("deadline", f"no search within {self._deadline:g} s")
                item.answer.set_exception(problem)
            else:
                batch.append(item)
        return batch

    async def _run(self, hand: Hand, batch: Sequence[_Item]) -> None:
        try:
            answers = await hand([item.ask for item in batch])
        except EndedError as error:
            problem = ProblemError("unavailable", f"{error}; another takes its place", RETRY)
            _give(batch, [problem] * len(batch))
        except Exception as error:  # noqa: BLE001 (whoever waits gets it)
            _give(batch, [error] * len(batch))
        else:
            _give(batch, answers.each)
            self._measure(answers)
        finally:
            self._hands[hand] -= 1
            self._begin()

    def _measure(self, answers: Answers) -> None:
        self._seconds += 0.1 * (answers.work / len(answers.each) - self._seconds)
        self._metrics.add_stage("search", answers.searching)
        self._metrics.add_stage("render", answers.rendering)
        for share in answers.recalls:
            self._metrics.observe_recall(share)


def _give(batch: Sequence[_Item], answers: Sequence[Answer | Exception]) -> None:
    for item, own in zip(batch, answers, strict=True):
        if item.answer.done():
            continue  # its client has gone
        if isinstance(own, Exception):
            item.answer.set_exception(own)
        else:
            item.answer.set_result(own)
