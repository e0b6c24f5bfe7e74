"""Work that outlasts its request: one job after another in a thread, told of as it goes on.

A job's events are kept with the job, so that readers may be slow, come late or come back: none of
them holds up the work, and none costs memory of its own. Jobs live as long as the process: what one
has done is in the library, what it has not is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from earmark.model.core.errors import InputError
from earmark.service.http.problems import ProblemError
from earmark.service.schemas.jobs import State

log = logging.getLogger(__name__)

WAITING = 8  # jobs, before more are refused
KEPT = 100  # jobs that are over
STOP_SECONDS = 20.0  # that whoever cancels a job waits for it

OVER = frozenset(("done", "cancelled", "failed"))


@dataclass(frozen=True)
class Event:
    """Something that happened: numbers from 1; the last is of the kind "done"."""

    number: int
    kind: Literal["progress", "failed", "done"]
    data: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A part that could not be done: its place from 0, its name as the client gave it, why."""

    part: int
    name: str
    reason: str


@dataclass(frozen=True)
class Seen:
    """A job as of one instant. `added`: ids of clips; `twins`: those whose very sound an earlier
    clip has; `problem`: why the whole of it failed. Times are ISO 8601 in UTC."""

    id: str
    state: State
    total: int
    added: tuple[str, ...]
    twins: dict[str, str]
    failed: tuple[Failure, ...]
    problem: str
    created_at: str
    ended_at: str


@dataclass
class _Progress:
    state: State = "waiting"
    added: list[str] = field(default_factory=list)
    twins: dict[str, str] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    problem: str = ""
    ended_at: str = ""


class Job:
    """`total` parts to be done by `work`, which tells the job of each; `discard` is called when it
    is over, whatever came of it. Safe to share between threads."""

    def __init__(
        self, total: int, work: Callable[[Job], None], discard: Callable[[], None]
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.total, self.work, self.discard = total, work, discard
        self._created_at = _now()
        self._own = _Progress()
        self._events: list[Event] = []
        self._watching: set[Callable[[], None]] = set()
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    # For the work

    @property
    def cancelled(self) -> bool:
        """Whether it is to stop at the next good place."""
        return self._cancelled.is_set()

    def take(self, added: list[tuple[str, str]], failed: list[Failure]) -> None:
        """Parts were done: (the id of a clip, its twin's or nothing), and those that were not."""
        with self._lock:
            own = self._own
            own.added += [clip_id for clip_id, _ in added]
            own.twins |= {clip_id: twin for clip_id, twin in added if twin}
            own.failed += failed
            for each in failed:
                self._tell("failed", vars(each))
            self._tell("progress", {**self._counts(), "ids": [clip_id for clip_id, _ in added]})

    # For the thread that runs it

    def begin(self) -> bool:
        """Whether it is to be run."""
        with self._lock:
            if self._own.state != "waiting":
                return False
            self._own.state = "running"
            self._tell("progress", {**self._counts(), "ids": []})
            return True

    def end(self, problem: str = "") -> None:
        """It is over."""
        self.discard()
        with self._lock:
            self._finish(problem)

    # For those who asked

    def cancel(self) -> None:
        """Stop it: at once where it waits, else at the next good place. What is added stays."""
        self._cancelled.set()
        with self._lock:
            waiting = self._own.state == "waiting"
            if waiting:
                self._finish("")
        if waiting:
            self.discard()

    def seen(self) -> Seen:
        """How it stands."""
        with self._lock:
            own = self._own
            return Seen(
                self.id,
                own.state,
                self.total,
                tuple(own.added),
                dict(own.twins),
                tuple(own.failed),
                own.problem,
                self._created_at,
                own.ended_at,
            )

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """What has happened after event number `after`, and what happens, until it is over."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._watching.add(wake)
        try:
            while True:
                news.clear()
                with self._lock:
                    fresh, over = self._events[max(0, after) :], self._own.state in OVER
                for event in fresh:
                    yield event
                    after = event.number
                if over:
                    return
                await news.wait()
        finally:
            with self._lock:
                self._watching.discard(wake)

    def _finish(self, problem: str) -> None:
        own, counts = self._own, self._counts()
        stopped = self.cancelled and counts["done"] < self.total
        own.state = "failed" if problem else "cancelled" if stopped else "done"
        own.problem, own.ended_at = problem, _now()
        self._tell("done", {**counts, "state": own.state, "problem": problem})

    def _counts(self) -> dict[str, int]:
        added, failed = len(self._own.added), len(self._own.failed)
        return {"total": self.total, "done": added + failed, "added": added, "failed": failed}

    def _tell(self, kind: Literal["progress", "failed", "done"], data: dict[str, Any]) -> None:
        self._events.append(Event(len(self._events) + 1, kind, data))
        for wake in self._watching:
            wake()


class Jobs:
    """Runs jobs in one thread, in the order in which they came. Safe to share between threads."""

    def __init__(self, waiting: int = WAITING, kept: int = KEPT) -> None:
        self._most_waiting, self._most_kept = waiting, kept
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def admit(self) -> None:
        """Raise ProblemError (429) where too many jobs wait already."""
        with self._changed:
            self._admit()

    def submit(self, job: Job) -> None:
        """Let a job be done. Raises ProblemError (429), the job being discarded."""
        with self._changed:
            try:
                self._admit()
            except ProblemError:
                job.discard()
                raise
            self._jobs[job.id] = job
            self._queue.append(job)
            over = [each.id for each in self._jobs.values() if each.seen().state in OVER]
            for old in over[: max(0, len(over) - self._most_kept)]:
                del self._jobs[old]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def job(self, job_id: str) -> Job:
        """The job of that id. Raises ProblemError (404)."""
        with self._changed:
            job = self._jobs.get(job_id)
        if job is None:
            raise ProblemError("not-found", f"id: no job {job_id[:60]!r}, or one long over")
        return job

    async def stop(self, job_id: str) -> Seen:
        """Cancel a job, forget it, and tell how it stands once it has stopped, or after a while.

        Raises ProblemError (404).
        """
        job = self.job(job_id)
        with self._changed:
            self._jobs.pop(job_id, None)
        job.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                async for _ in job.events():
                    pass
        return job.seen()

    def close(self) -> None:
        """Cancel all jobs and wait until the one at work has stopped in good order."""
        with self._changed:
            self._closed = True
            jobs = list(self._jobs.values())
            self._queue.clear()
            self._changed.notify_all()
        for job in jobs:
            job.cancel()
        if self._thread is not None:
            self._thread.join()

    def _admit(self) -> None:
        self._queue = deque(each for each in self._queue if not each.cancelled)
        if len(self._queue) >= self._most_waiting:
            raise ProblemError(
                "busy", f"{len(self._queue)} jobs are waiting", {"Retry-After": "10"}
            )
        if self._closed:
            raise ProblemError("unavailable", "the service is shutting down")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._queue.popleft()
            if job.begin():
                job.end(_done(job))


def _done(job: Job) -> str:
    """Do its work; what was wrong with it, in words for the client."""
    try:
        job.work(job)
    except InputError as error:
        return str(error)
    except Exception:
        log.exception("job %s", job.id)
        return "an error of the service: its log tells more"
    return ""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
