"""The queue of searches by words: what waits when a worker is free becomes the next batch.

Searches cost less together. The event loop itself never searches: one query of many words that
no clip holds takes 100 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from itertools import islice

from earmark.index.types import SearchRequest
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.search.batch import BatchResult, RenderedPage
from earmark.service.search.processes import SearchWorker, WorkerEndedError

MAX_BATCH = 32  # searches
BATCH_SECONDS = 0.02  # of CPU time of a batch, estimated from recent searches
LONG_SECONDS = 0.003  # of CPU time of a search, from which workers run side by side
RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, eq=False, slots=True)
class _Waiting:
    request: SearchRequest
    since: float
    page: asyncio.Future[RenderedPage]


class SearchQueue:
    """Runs searches for one event loop.

    `workers`: processes or threads. Where searches are short, as in a library of some ten thousand
    sounds, the first worker runs all batches: they are larger then, and the cores are left to HTTP.
    Where searches are long, all workers run side by side. `max_waiting`: searches in the queue;
    `deadline`: seconds that a search may wait.
    """

    def __init__(
        self,
        workers: Sequence[SearchWorker],
        metrics: Metrics,
        *,
        max_waiting: int,
        deadline: float,
    ) -> None:
        self._batches = dict.fromkeys(workers, 0)  # that each worker is running
        self._metrics, self._max_waiting, self._deadline = metrics, max_waiting, deadline
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Waiting] = deque()
        self._seconds = 0.0  # of CPU time of a search, a moving average
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        metrics.watch("searches_waiting", lambda: len(self._waiting))

    async def search(self, request: SearchRequest) -> RenderedPage:
        """The page of a request.

        Raises CursorError, ProblemError (429, 503, 504), and what the library raises.
        """
        if len(self._waiting) >= self._max_waiting:
            self._metrics.count_rejection("busy")
            raise ProblemError("busy", f"{self._max_waiting} searches are waiting", RETRY)
        waiting = _Waiting(request, time.monotonic(), self._loop.create_future())
        self._waiting.append(waiting)
        if not self._scheduled:
            # At the loop's next turn, so that requests of this turn share a batch.
            self._scheduled = True
            self._loop.call_soon(self._dispatch)
        with self._metrics.span("search"):
            return await waiting.page

    def renew(self) -> None:
        """Let the workers search the store that was built anew."""
        for worker in self._batches:
            worker.renew()

    async def follow(self, generation: int) -> None:
        """Wait until all searches see what was written up to a generation. The workers take large
        edits in beside their searches."""
        for worker in self._batches:
            with contextlib.suppress(WorkerEndedError):  # the next one begins with it
                await worker.follow(generation)

    async def close(self) -> None:
        """Finish what waits, then end the workers."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        for worker in self._batches:
            worker.close()

    def _dispatch(self) -> None:
        """Give waiting searches to free workers."""
        self._scheduled = False
        while self._waiting and (worker := self._free_worker()) is not None:
            if batch := self._next_batch():
                self._batches[worker] += 1
                # Outside any request's trace: the batch belongs to several requests.
                task = self._loop.create_task(self._run(worker, batch), context=Context())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _free_worker(self) -> SearchWorker | None:
        if self._seconds < LONG_SECONDS:
            # One more worker for each full batch that waits.
            count = 1 + len(self._waiting) // MAX_BATCH
            workers = islice(self._batches.items(), count)
            return next((worker for worker, batches in workers if batches < worker.depth), None)
        return next((worker for worker, batches in self._batches.items() if not batches), None)

    def _next_batch(self) -> list[_Waiting]:
        """A batch of waiting searches; those past the deadline are refused."""
        limit = min(MAX_BATCH, max(1, int(BATCH_SECONDS / max(self._seconds, 1e-6))))
        oldest = time.monotonic() - self._deadline
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < limit:
            waiting = self._waiting.popleft()
            if waiting.page.done():
                continue  # its client has disconnected
            if waiting.since < oldest:
                self._metrics.count_rejection("deadline")
                problem = ProblemError("deadline", f"no search within {self._deadline:g} s")
                waiting.page.set_exception(problem)
            else:
                batch.append(waiting)
        return batch

    async def _run(self, worker: SearchWorker, batch: Sequence[_Waiting]) -> None:
        try:
            result = await worker([waiting.request for waiting in batch])
        except WorkerEndedError as error:
            problem = ProblemError("unavailable", f"{error}; another takes its place", RETRY)
            _resolve(batch, [problem] * len(batch))
        except Exception as error:  # noqa: BLE001 (the requests of the batch get it)
            _resolve(batch, [error] * len(batch))
        else:
            _resolve(batch, result.pages)
            self._measure(result)
        finally:
            self._batches[worker] -= 1
            self._dispatch()

    def _measure(self, result: BatchResult) -> None:
        self._seconds += 0.1 * (result.cpu_seconds / len(result.pages) - self._seconds)
        self._metrics.add_stage("search", result.search_seconds)
        self._metrics.add_stage("render", result.render_seconds)
        for recall in result.recalls:
            self._metrics.observe_recall(recall)


def _resolve(batch: Sequence[_Waiting], pages: Sequence[RenderedPage | Exception]) -> None:
    for waiting, page in zip(batch, pages, strict=True):
        if waiting.page.done():
            continue  # its client has disconnected
        if isinstance(page, Exception):
            waiting.page.set_exception(page)
        else:
            waiting.page.set_result(page)
