"""Runs jobs, work that outlasts its request, and lets clients follow them.

Each service runs one job after another, in a thread. The jobs are on disk (`JobStore`), so that
every service on the library knows all of them, and they go on where they stood when the service
that ran them has stopped or was killed. Events are on disk as well: readers may be slow, come late
or come back, and cost no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import anyio.to_thread

from earmark.index.errors import StorageError
from earmark.model.core.errors import InputError
from earmark.service.http.problems import ProblemError
from earmark.service.workers.job_store import JobEvent, JobStatus, JobStore, RunningJob, too_many

log = logging.getLogger(__name__)

MAX_WAITING = 8  # jobs, on one library
MAX_OVER = 100  # jobs that are over and still listed
STOP_SECONDS = 20.0  # for which a client that cancels a job waits until it has stopped
SWEEP_SECONDS = 300.0  # between looks for sounds that a dead process left
POLL_SECONDS = 1.0  # between looks at what other services on the library have done


class Jobs:
    """The jobs of the library in `folder`. Safe to share between threads.

    `work`: adds the parts of a job and records them with it, until none is left or the job is
    stopping.
    """

    def __init__(
        self,
        folder: Path,
        work: Callable[[RunningJob], None],
        *,
        max_waiting: int = MAX_WAITING,
        max_over: int = MAX_OVER,
    ) -> None:
        self._store = JobStore(folder, self._changed)
        self._work, self._max_waiting, self._max_over = work, max_waiting, max_over
        self._lock = threading.Condition()
        self._closed = self._submitted = False
        self._running: RunningJob | None = None
        self._readers: dict[int, set[Callable[[], None]]] = {}
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pause the job at work, once its parts under way are added, and end the readers."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.pausing = True
            readers = [wake for wakes in self._readers.values() for wake in wakes]
            self._lock.notify_all()
        for wake in readers:
            wake()
        self._thread.join()
        self._store.close()

    # For clients

    def admit(self) -> None:
        """Raise ProblemError (429) where too many jobs wait already, or StorageError."""
        if self._closed:
            raise ProblemError("unavailable", "the service is shutting down")
        waiting = self._store.waiting()
        if waiting >= self._max_waiting:
            raise too_many(waiting)

    def submit(
        self, sounds: Sequence[tuple[IO[bytes], str]], metadata: Mapping[str, Any]
    ) -> JobStatus:
        """Make a job of sounds (each with its name), on disk when this returns.

        Raises ProblemError (429, 503), StorageError.
        """
        self.admit()
        number = self._store.create(
            sounds, metadata, max_waiting=self._max_waiting, max_over=self._max_over
        )
        with self._lock:
            self._submitted = True
            self._lock.notify_all()
        return self._status(number)

    def status(self, job_id: str) -> JobStatus:
        """The job with that id. Raises ProblemError (404), StorageError."""
        return self._status(self._find(job_id))

    async def follow(self, job_id: str, after: int = 0) -> AsyncIterator[JobEvent]:
        """A job's events after number `after`, as they happen, until it is over.

        They end early when this service stops. Raises ProblemError (404) at once, StorageError.
        """
        return self._events(await anyio.to_thread.run_sync(self._find, job_id), after)

    async def stop(self, job_id: str) -> JobStatus:
        """Cancel a job and hide it; its status once it has stopped, or after a while.

        Raises ProblemError (404), StorageError.
        """
        number = await anyio.to_thread.run_sync(self._find, job_id)
        await anyio.to_thread.run_sync(self._store.cancel, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                async for _ in self._events(number, 0):
                    pass
        return await anyio.to_thread.run_sync(self._status, number)

    def _find(self, job_id: str) -> int:
        number = self._store.find(job_id)
        if number is None:
            raise _unknown(job_id)
        return number

    def _status(self, number: int) -> JobStatus:
        status = self._store.status(number)
        if status is None:
            raise _unknown(str(number))
        return status

    async def _events(self, number: int, after: int) -> AsyncIterator[JobEvent]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._readers.setdefault(number, set()).add(wake)
        try:
            while True:
                news.clear()
                closed = self._closed
                events, over = await anyio.to_thread.run_sync(self._store.events, number, after)
                for event in events:
                    yield event
                    after = event.number
                if over or closed:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await news.wait()
        finally:
            with self._lock:
                self._readers[number].discard(wake)
                if not self._readers[number]:
                    del self._readers[number]

    def _changed(self, number: int) -> None:
        """Wake the readers of a job: something has happened."""
        with self._lock:
            readers = list(self._readers.get(number, ()))
        for wake in readers:
            wake()

    # In the thread

    def _run(self) -> None:
        fault, sweep_at = "", 0.0
        while not self._closed:
            try:
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + SWEEP_SECONDS
                    self._store.sweep()
                if not self._run_next():
                    self._wait()
                fault = ""
            except StorageError as error:  # a folder that may only be read, a full disk
                if str(error) != fault:
                    log.warning("jobs: %s", error)
                fault = str(error)
                self._wait()

    def _wait(self) -> None:
        """Wait for a job of this service, and a while for those that others leave."""
        with self._lock:
            self._lock.wait_for(lambda: self._submitted or self._closed, POLL_SECONDS)
            self._submitted = False

    def _run_next(self) -> bool:
        """Run the next job, if there is one. Raises StorageError."""
        job = self._store.claim()
        if job is None:
            return False
        with self._lock:
            self._running = job
            job.pausing = self._closed
        try:
            problem = self._outcome(job)
        finally:
            with self._lock:
                self._running = None
        job.release(problem)
        return True

    def _outcome(self, job: RunningJob) -> str:
        """Do a job's work; what was wrong with it, in words for the client, or ""."""
        try:
            self._work(job)
        except InputError as error:
            return str(error)
        except Exception:
            log.exception("job %d", job.number)
            return "an error of the service: its log tells more"
        return ""


def _unknown(job_id: str) -> ProblemError:
    return ProblemError("not-found", f"id: no job {job_id[:60]!r}, or one long over")
