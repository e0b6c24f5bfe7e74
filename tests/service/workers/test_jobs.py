"""Background jobs: their progress as events, slow and late readers, cancelling, stopping."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from earmark.service.http.problems import ProblemError
from earmark.service.workers.jobs import Event, Failure, Job, Jobs


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs(waiting=2, kept=3)
    yield jobs
    jobs.close()


def counted(total: int, *steps: Callable[[], object]) -> tuple[Job, list[str]]:
    """A job that adds a clip after each step; and what became of it besides."""
    happened: list[str] = []

    def work(job: Job) -> None:
        for number, step in enumerate(steps):
            step()
            if job.cancelled:
                happened.append("stopped")
                return
            job.take([(f"clip{number}", "")], [])

    return Job(total, work, lambda: happened.append("discarded")), happened


def until_over(job: Job) -> str:
    deadline = time.monotonic() + 60
    while (state := job.seen().state) in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return state


def heard(job: Job, after: int = 0, gate: threading.Event | None = None) -> list[Event]:
    """All events of a job, by a reader that stands still after the first until a gate opens."""

    async def read() -> list[Event]:
        found = []
        async for event in job.events(after):
            found.append(event)
            assert gate is None or gate.wait(60)
        return found

    return asyncio.run(read())


def test_events_tell_of_each_step(jobs: Jobs) -> None:
    job, happened = counted(2, lambda: None, lambda: time.sleep(0.05))
    jobs.submit(job)
    events = heard(job)
    assert [(each.number, each.kind) for each in events] == [
        (1, "progress"),
        (2, "progress"),
        (3, "progress"),
        (4, "done"),
    ]
    assert [each.data["done"] for each in events] == [0, 1, 2, 2]
    assert events[1].data["ids"] == ["clip0"]
    assert events[-1].data["state"] == "done"
    assert happened == ["discarded"]
    assert jobs.job(job.id) is job


def test_slow_late_and_returning_readers_miss_nothing_and_hold_up_nothing(jobs: Jobs) -> None:
    job, _ = counted(20, *[lambda: None] * 20)
    slow: list[Event] = []
    gate = threading.Event()
    reader = threading.Thread(target=lambda: slow.extend(heard(job, gate=gate)))
    reader.start()
    jobs.submit(job)
    assert until_over(job) == "done"
    assert not slow
    gate.set()
    reader.join(timeout=60)
    late = heard(job)
    assert slow == late
    assert heard(job, after=15) == late[15:]
    assert heard(job, after=10**9) == []


def test_cancelled_it_stops_and_what_was_done_stays(jobs: Jobs) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def second() -> None:
        reached.set()
        go_on.wait(10)

    job, happened = counted(3, lambda: None, second, lambda: None)
    jobs.submit(job)
    reached.wait(10)
    job.cancel()
    assert job.seen().state == "running"  # until it has stopped
    go_on.set()
    assert until_over(job) == "cancelled"
    assert job.seen().added == ("clip0",)
    assert happened == ["stopped", "discarded"]
    assert heard(job)[-1].data["state"] == "cancelled"


def test_a_waiting_job_is_cancelled_at_once(jobs: Jobs) -> None:
    go_on = threading.Event()
    first, _ = counted(1, lambda: go_on.wait(10))
    second, happened = counted(1, lambda: None)
    jobs.submit(first)
    jobs.submit(second)
    second.cancel()
    assert (second.seen().state, happened) == ("cancelled", ["discarded"])
    go_on.set()
    assert until_over(first) == "done"
    assert second.seen().added == ()


def test_too_many_are_refused_and_discarded(jobs: Jobs) -> None:
    go_on = threading.Event()
    first, _ = counted(1, lambda: go_on.wait(10))
    jobs.submit(first)
    while first.seen().state == "waiting":
        time.sleep(0.005)
    waiting = [counted(1)[0] for _ in range(2)]
    for job in waiting:
        jobs.submit(job)
    refused, happened = counted(1)
    with pytest.raises(ProblemError, match="2 jobs are waiting"):
        jobs.submit(refused)
    assert happened == ["discarded"]
    waiting[0].cancel()
    jobs.submit(counted(1)[0])
    go_on.set()


def test_old_jobs_are_forgotten(jobs: Jobs) -> None:
    done = []
    for _ in range(6):
        job, _ = counted(1, lambda: None)
        jobs.submit(job)
        until_over(job)
        done.append(job)
    assert jobs.job(done[-1].id) is done[-1]
    with pytest.raises(ProblemError, match="no job"):
        jobs.job(done[0].id)


def test_an_error_ends_its_job_only_and_tells_no_secrets(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("/secret/path is full")

    job, happened = counted(1, fail)
    jobs.submit(job)
    assert until_over(job) == "failed"
    assert job.seen().problem == "an error of the service: its log tells more"
    assert "/secret/path" in caplog.text
    assert happened == ["discarded"]
    after, _ = counted(1, lambda: None)
    jobs.submit(after)
    assert until_over(after) == "done"


def test_parts_that_fail_are_told(jobs: Jobs) -> None:
    failure = Failure(1, "b.wav", "not a sound")
    job = Job(2, lambda job: job.take([("a", "first")], [failure]), lambda: None)
    jobs.submit(job)
    until_over(job)
    assert [each.kind for each in heard(job)] == ["progress", "failed", "progress", "done"]
    assert (job.seen().twins, job.seen().failed) == ({"a": "first"}, (failure,))


def test_closing_ends_all_in_good_order() -> None:
    jobs, reached = Jobs(), threading.Event()

    def slow() -> None:
        reached.set()
        time.sleep(0.1)

    first, happened = counted(2, slow, slow)
    second, _ = counted(1, lambda: None)
    jobs.submit(first)
    jobs.submit(second)
    reached.wait(10)
    jobs.close()
    assert happened == ["stopped", "discarded"]
    assert (first.seen().state, second.seen().state) == ("cancelled", "cancelled")
    with pytest.raises(ProblemError, match="shutting down"):
        jobs.submit(counted(1)[0])
