"""Jobs: events, slow and late readers, cancelling, pausing, services beside each other."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from earmark.index.errors import StorageError
from earmark.service.http.problems import ProblemError
from earmark.service.workers import job_store, jobs
from earmark.service.workers.job_files import JobFiles
from earmark.service.workers.job_store import (
    AddedPart,
    FailedPart,
    JobEvent,
    JobPart,
    JobStatus,
    JobStore,
    RunningJob,
)
from earmark.service.workers.jobs import Jobs

Step = Callable[[JobPart], object]


class Worker:
    """The work of jobs: each part becomes a clip named by its job and number, after a step."""

    def __init__(self) -> None:
        self.step: Step = lambda _: None
        self.resumed: list[list[int]] = []  # the parts of jobs that were begun before

    def __call__(self, job: RunningJob) -> None:
        if job.resumed:
            self.resumed.append([part.number for part in job.parts])
        for part in job.parts:
            self.step(part)
            if job.stopping:
                return
            assert part.path.read_bytes() == part.name.encode()
            job.record([AddedPart(part, f"{job.number}-{part.number}", "")], [])


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def one(tmp_path: Path, worker: Worker) -> Iterator[Jobs]:
    """The jobs of a service."""
    one = Jobs(tmp_path, worker, max_waiting=2, max_over=3)
    yield one
    one.close()


def submit(service: Jobs, count: int) -> str:
    """The id of a new job of so many sounds."""
    names = [f"{number}.wav" for number in range(count)]
    return service.submit([(io.BytesIO(name.encode()), name) for name in names], {"tags": []}).id


def until_over(service: Jobs, job_id: str) -> JobStatus:
    deadline = time.monotonic() + 60
    while (status := service.status(job_id)).state in ("waiting", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return status


def until_running(service: Jobs, job_id: str) -> None:
    deadline = time.monotonic() + 60
    while service.status(job_id).state == "waiting":
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read(
    service: Jobs, job_id: str, after: int = 0, gate: threading.Event | None = None
) -> list[JobEvent]:
    """All events of a job, by a reader that stands still after the first until a gate opens."""

    async def follow() -> list[JobEvent]:
        found = []
        async for event in await service.follow(job_id, after):
            found.append(event)
            assert gate is None or await asyncio.to_thread(gate.wait, 60)
        return found

    return asyncio.run(follow())


def files_of(folder: Path) -> list[str]:
    """What lies in the folder of jobs."""
    return sorted(str(path.relative_to(folder)) for path in folder.glob("jobs/*/*"))


def until_gone(folder: Path) -> None:
    """Wait until no sounds are left: they go right after their job is over."""
    deadline = time.monotonic() + 60
    while files_of(folder):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stopped(service: Jobs, job_id: str) -> JobStatus:
    return asyncio.run(service.stop(job_id))


def test_events_tell_of_each_part(one: Jobs, worker: Worker, tmp_path: Path) -> None:
    worker.step = lambda _: time.sleep(0.02)
    job = submit(one, 2)
    events = read(one, job)
    assert [(event.number, event.kind) for event in events] == [
        (1, "progress"),
        (2, "progress"),
        (3, "progress"),
        (4, "done"),
    ]
    assert [event.data["done"] for event in events] == [0, 1, 2, 2]
    assert events[1].data == {"total": 2, "done": 1, "added": 1, "failed": 0, "ids": ["1-0"]}
    assert events[-1].data["state"] == "done"
    status = one.status(job)
    assert (status.state, status.total, status.added) == ("done", 2, ("1-0", "1-1"))
    assert status.created_at <= status.ended_at
    until_gone(tmp_path)
    assert worker.resumed == []


def test_slow_late_and_returning_readers_miss_nothing_and_hold_up_nothing(
    one: Jobs, worker: Worker
) -> None:
    slow: list[JobEvent] = []
    begin, gate = threading.Event(), threading.Event()
    worker.step = lambda _: begin.wait(60)
    job = submit(one, 20)
    reader = threading.Thread(target=lambda: slow.extend(read(one, job, gate=gate)))
    reader.start()
    begin.set()
    assert until_over(one, job).state == "done"
    assert not slow
    gate.set()
    reader.join(timeout=60)
    late = read(one, job)
    assert len(late) == 22
    assert slow == late
    assert read(one, job, after=15) == late[15:]
    assert read(one, job, after=10**30) == []


def test_cancelled_it_stops_and_what_was_done_stays(
    one: Jobs, worker: Worker, tmp_path: Path
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def second_waits(part: JobPart) -> None:
        if part.number == 1:
            reached.set()
            assert go_on.wait(60)

    worker.step = second_waits
    job = submit(one, 3)
    assert reached.wait(60)
    events: list[JobEvent] = []
    reader = threading.Thread(target=lambda: events.extend(read(one, job)))
    reader.start()
    statuses: list[JobStatus] = []
    stopper = threading.Thread(target=lambda: statuses.append(stopped(one, job)))
    while len(one._readers.get(1, ())) < 1:
        time.sleep(0.005)
    stopper.start()
    with pytest.raises(ProblemError, match="no job"):
        while True:
            one.status(job)
    go_on.set()
    for thread in (reader, stopper):
        thread.join(60)
    [status] = statuses
    assert (status.state, status.added) == ("cancelled", ("1-0",))
    assert (events[-1].kind, events[-1].data["state"]) == ("done", "cancelled")
    until_gone(tmp_path)
    for late in (one.status, lambda job: read(one, job), lambda job: stopped(one, job)):
        with pytest.raises(ProblemError, match="no job"):
            late(job)


def test_a_waiting_job_is_cancelled_at_once(one: Jobs, worker: Worker, tmp_path: Path) -> None:
    go_on = threading.Event()
    worker.step = lambda _: go_on.wait(60)
    first, second = submit(one, 1), submit(one, 1)
    until_running(one, first)
    status = stopped(one, second)
    assert (status.state, status.added) == ("cancelled", ())
    assert {name.split("/")[1] for name in files_of(tmp_path)} == {first}
    go_on.set()
    assert until_over(one, first).state == "done"


def test_too_many_are_refused_and_leave_nothing(one: Jobs, worker: Worker, tmp_path: Path) -> None:
    go_on = threading.Event()
    worker.step = lambda _: go_on.wait(60)
    until_running(one, submit(one, 1))
    waiting = [submit(one, 1) for _ in range(2)]
    before = files_of(tmp_path)
    for refuse in (one.admit, lambda: submit(one, 1)):
        with pytest.raises(ProblemError, match="2 jobs are waiting"):
            refuse()
    with pytest.raises(ProblemError, match="2 jobs are waiting"):  # admitted, then overtaken
        one._store.create([(io.BytesIO(b"x"), "x")], {}, max_waiting=2, max_over=3)
    assert files_of(tmp_path) == before
    stopped(one, waiting[0])
    submit(one, 1)
    go_on.set()


def test_old_jobs_are_forgotten(one: Jobs, tmp_path: Path) -> None:
    done = [submit(one, 1) for _ in range(1)]
    for _ in range(5):
        until_over(one, done[-1])
        done.append(submit(one, 1))
    until_over(one, done[-1])
    assert [one.status(job).added for job in done[-4:]] == [(f"{n}-0",) for n in range(3, 7)]
    for job in done[:2]:
        with pytest.raises(ProblemError, match="no job"):
            one.status(job)
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        for table in ("parts", "events"):
            [left] = db.execute(f"SELECT count(DISTINCT job) FROM {table}").fetchone()
            assert left == 4


def test_a_hidden_job_goes_when_its_last_readers_have_had_time(
    one: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(one, 1)
    until_over(one, job)
    stopped(one, job)
    until_over(one, submit(one, 1))
    assert one._store.status(1) is not None
    monkeypatch.setattr(job_store, "HIDDEN_SECONDS", -2.0)
    submit(one, 1)
    assert one._store.status(1) is None
    assert one._store.events(1, 0) == ([], True)


def test_an_error_ends_its_job_only_and_tells_no_secrets(
    one: Jobs, worker: Worker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: JobPart) -> None:
        raise OSError("/secret/path is full")

    worker.step = fail
    job = submit(one, 1)
    status = until_over(one, job)
    assert (status.state, status.problem) == (
        "failed",
        "an error of the service: its log tells more",
    )
    assert "/secret/path" in caplog.text
    assert read(one, job)[-1].data["problem"] == status.problem
    worker.step = lambda _: None
    assert until_over(one, submit(one, 1)).state == "done"
    until_gone(tmp_path)


def test_parts_that_fail_and_duplicates_are_told(tmp_path: Path) -> None:
    def work(job: RunningJob) -> None:
        first, second = job.parts
        job.record([AddedPart(first, "a", "earlier")], [FailedPart(1, second.name, "no sound")])

    one = Jobs(tmp_path, work)
    try:
        job = submit(one, 2)
        status = until_over(one, job)
        assert [event.kind for event in read(one, job)] == [
            "progress",
            "failed",
            "progress",
            "done",
        ]
        assert read(one, job)[1].data == {"part": 1, "name": "1.wav", "reason": "no sound"}
        assert status.duplicates == {"a": "earlier"}
        assert status.failed == (FailedPart(1, "1.wav", "no sound"),)
    finally:
        one.close()


def test_closing_pauses_and_the_next_service_goes_on(tmp_path: Path) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def second_waits(part: JobPart) -> None:
        if part.number == 1:
            reached.set()
            assert go_on.wait(60)

    before, worker = Worker(), Worker()
    before.step = second_waits
    one = Jobs(tmp_path, before)
    running, waiting = submit(one, 3), submit(one, 1)
    assert reached.wait(60)
    events: list[JobEvent] = []
    reader = threading.Thread(target=lambda: events.extend(read(one, running)))
    reader.start()
    while len(one._readers.get(1, ())) < 1:
        time.sleep(0.005)
    closer = threading.Thread(target=one.close)
    closer.start()
    while not one._closed:
        time.sleep(0.005)
    with pytest.raises(ProblemError, match="shutting down"):
        one.admit()
    go_on.set()
    for thread in (reader, closer):
        thread.join(60)
    assert [event.kind for event in events] == ["progress", "progress"]
    one = Jobs(tmp_path, worker)
    try:
        assert until_over(one, running).added == ("1-0", "1-1", "1-2")
        assert until_over(one, waiting).state == "done"
        later = read(one, running, after=events[-1].number)
        assert [event.number for event in later] == [3, 4, 5, 6]
        assert [event.data["done"] for event in later] == [1, 2, 3, 3]
        assert worker.resumed == []  # it was stopped in good order
    finally:
        one.close()


def abandoned(folder: Path, count: int) -> str:
    """The id of a job whose process ended amid its second part; the first is done."""
    store = JobStore(folder)
    sounds = [(io.BytesIO(b"%d.wav" % number), f"{number}.wav") for number in range(count)]
    store.create(sounds, {"tags": []}, max_waiting=8, max_over=100)
    job = store.claim()
    assert job is not None
    job.record([AddedPart(job.parts[0], "1-0", "")], [])
    assert store.claim() is None  # it is being run
    os.close(job._lock)  # as the system does for a process that ends
    store.close()
    with sqlite3.connect(folder / "jobs.sqlite") as db:
        [job_id] = db.execute("SELECT id FROM jobs").fetchone()
    return str(job_id)


def test_a_job_whose_process_has_ended_is_taken_up(tmp_path: Path, worker: Worker) -> None:
    job = abandoned(tmp_path, 3)
    one = Jobs(tmp_path, worker)
    try:
        assert until_over(one, job).added == ("1-0", "1-1", "1-2")
        assert worker.resumed == [[1, 2]]
    finally:
        one.close()


def test_a_cancelled_job_whose_process_has_ended_is_over(tmp_path: Path, worker: Worker) -> None:
    job = abandoned(tmp_path, 3)
    store = JobStore(tmp_path)
    store.cancel(1)
    one = Jobs(tmp_path, worker)
    try:
        status = None
        deadline = time.monotonic() + 60
        while (status := store.status(1)) is None or status.state == "running":
            assert time.monotonic() < deadline
        assert (status.id, status.state, status.added) == (job, "cancelled", ("1-0",))
        until_gone(tmp_path)
        assert worker.resumed == []
    finally:
        one.close()
        store.close()


def test_a_job_that_ends_its_process_again_and_again_is_given_up(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    store.create([(io.BytesIO(b"x"), "x")], {}, max_waiting=8, max_over=100)
    for turn in range(5):
        job = store.claim()
        assert job is not None
        assert job.resumed == (turn > 0)
        os.close(job._lock)
    assert store.claim() is None
    status = store.status(1)
    assert status is not None
    assert (status.state, status.added) == ("failed", ())
    assert status.problem == "it was begun 5 times and none of its parts was done"
    store.close()


def test_services_on_one_library_share_its_jobs(tmp_path: Path) -> None:
    go_on = threading.Event()
    first, second = Worker(), Worker()
    first.step = lambda _: go_on.wait(60)
    ran: list[int] = []
    second.step = lambda part: ran.append(part.number)
    one, other = Jobs(tmp_path, first), None
    try:
        job = submit(one, 2)
        until_running(one, job)
        other = Jobs(tmp_path, second)
        assert other.status(job) == one.status(job)
        events: list[JobEvent] = []
        reader = threading.Thread(target=lambda: events.extend(read(other, job)))
        reader.start()
        free = submit(one, 3)  # which the other has time for
        assert until_over(one, free).state == "done"
        assert ran == [0, 1, 2]
        go_on.set()
        reader.join(60)
        assert events == read(one, job)
        assert events[-1].data["state"] == "done"

        go_on.clear()
        job = submit(one, 2)
        second.step = lambda _: go_on.wait(60)
        until_running(other, job)
        stopper = threading.Thread(target=stopped, args=(other, job))
        stopper.start()
        with pytest.raises(ProblemError, match="no job"):
            while True:
                one.status(job)
        go_on.set()
        stopper.join(60)
    finally:
        go_on.set()
        one.close()
        if other is not None:
            other.close()


def test_sounds_that_a_dead_process_left_are_removed(
    tmp_path: Path, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = abandoned(tmp_path, 2)
    for name in ("left", "fresh", "staged"):
        (tmp_path / "jobs" / name).mkdir()
        (tmp_path / "jobs" / name / "0").write_bytes(b"sound")
    lock = JobFiles(tmp_path).lock("staged")
    assert lock is not None
    for name in ("left", "staged", job):
        os.utime(tmp_path / "jobs" / name, (0, 0))
    store = JobStore(tmp_path)
    store.sweep()
    os.close(lock)
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == sorted(
        ["fresh", "staged", job]
    )
    store.close()


def test_sounds_of_a_job_whose_process_died_at_its_very_end_are_removed(
    tmp_path: Path, one: Jobs
) -> None:
    job = submit(one, 1)
    assert until_over(one, job).state == "done"
    one.close()  # once it is, no thread removes the job's sounds any more
    left = tmp_path / "jobs" / job
    left.mkdir()
    (left / "0").write_bytes(b"sound")
    # As a folder that another process removes between two looks: it is there, and it is not.
    (tmp_path / "jobs" / "0").symlink_to(tmp_path / "nowhere")
    store = JobStore(tmp_path)
    store.sweep()
    store.close()
    assert not left.exists()


def test_without_jobs_nothing_is_made_on_disk(one: Jobs, tmp_path: Path) -> None:
    one.admit()
    with pytest.raises(ProblemError, match="no job"):
        one.status("x")
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_newer_version_is_left_alone(
    tmp_path: Path,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as db:
        db.execute("PRAGMA user_version = 2")
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)
    one = Jobs(tmp_path, worker)
    for call in (one.admit, lambda: one.status("x"), lambda: submit(one, 1)):
        with pytest.raises(StorageError, match="a newer version"):
            call()
    time.sleep(0.1)
    one.close()
    assert caplog.text.count("a newer version") == 1


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"no database" * 100)
    store = JobStore(tmp_path)
    with pytest.raises(StorageError, match=r"jobs\.sqlite is damaged"):
        store.claim()
    store.close()
