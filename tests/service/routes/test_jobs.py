"""Jobs over HTTP: events, late and idle readers, cancelling, and jobs that outlive a service."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from tests.model import tiny
from tests.service import sounds
from tests.service.server_process import Server, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """An empty library."""
    folder = tmp_path_factory.mktemp("jobs") / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    return folder


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, folder: Path
) -> Iterator[Server]:
    """A server of it; stopped while a job is at work, which waits then."""
    log = tmp_path_factory.mktemp("jobs-server") / "log"
    limit = {"EARMARK_MAX_SECONDS": "200", "EARMARK_SHUTDOWN_SECONDS": "600"}
    with serving(log, "--library", folder, "--model", model_folder, **limit) as server:
        yield server
        place = begin(server, *LASTING)
        with server.client.stream("GET", f"{place}/events") as stream:
            next(stream.iter_lines())
            assert server.stop() == 0
        assert "Traceback" not in log.read_text()
    assert [path.name for path in (folder / "jobs").iterdir()] == [place.rpartition("/")[2]]
    uploads = folder / "uploads"
    with Library.open(folder, load_embedder(model_folder)) as library:
        known = {Path(clip.path).name for clip in library.catalogue.clips()}
    assert known == {path.name for path in uploads.iterdir() if path.is_file()}
    assert [path.name for path in (uploads / ".pending").iterdir()] == ["lock"]


LONG = sounds.encoded(tiny.noise(20.0, 8_000), 8_000, subtype="PCM_U8")  # few bytes
MANY = [(f"{number}.wav", LONG) for number in range(100)]  # more than are written at a time
# Work that lasts far longer than a client takes to stop it, in few bytes.
SILENCE = sounds.encoded(np.zeros(190 * 8_000), 8_000, format="FLAC")
LASTING = [(f"{number}.flac", SILENCE) for number in range(100)]


def begin(server: Server, *files: tuple[str, bytes], **data: object) -> str:
    """Where the job of these files is."""
    sent = [("file", each) for each in files]
    response = server.client.post("/v1/jobs", files=sent, data=data)
    assert response.status_code == 202, response.text
    place: str = response.headers["location"]
    assert place == f"/v1/jobs/{response.json()['id']}"
    return place


Event = tuple[int, str, dict[str, Any]]


def events_of(stream: httpx.Response) -> Iterator[Event]:
    """(number, kind, data) of each event of a stream."""
    event: dict[str, str] = {}
    for line in stream.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
        elif event:
            yield int(event["id"]), event["event"], json.loads(event["data"])
            event = {}


def test_progress_arrives_as_events_and_the_clips_are_found(served: Server) -> None:
    files = [
        ("Gravel one.wav", sounds.noise(0.4, seed=1)),
        ("../broken.wav", b"no sound"),
        ("Gravel_two.wav", sounds.noise(0.4, seed=2)),
        ("again.wav", sounds.noise(0.4, seed=1)),
        ("long.wav", sounds.encoded([0.0] * (201 * 1_000), 1_000)),
    ]
    place = begin(served, *files, tags="gravel path", licence="CC0-1.0")
    with served.client.stream("GET", f"{place}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = list(events_of(stream))
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    failed = [data for _, kind, data in events if kind == "failed"]
    assert [(each["part"], each["name"]) for each in failed] == [
        (1, "../broken.wav"),
        (4, "long.wav"),
    ]
    assert "not a sound" in str(failed[0]["reason"])
    assert "expected at most 200 s" in str(failed[1]["reason"])
    assert ".part" not in str(failed)
    assert events[-1][1:] == (
        "done",
        {"total": 5, "done": 5, "added": 3, "failed": 2, "state": "done", "problem": ""},
    )
    body = served.client.get(place).json()
    assert (body["state"], body["done"], body["total"]) == ("done", 5, 5)
    first, second, again = body["added"]
    assert body["twins"] == {again: first}
    clip = served.client.get(f"/v1/clips/{second}").json()
    assert (clip["title"], clip["tags"]) == ("Gravel two", ["gravel", "path"])
    assert clip["licence"] == "CC0-1.0"
    hits = served.client.get("/v1/search", params={"q": "gravel"}).json()["hits"]
    assert {hit["id"] for hit in hits} == {first, second, again}
    with served.client.stream("GET", f"{place}/events", headers={"Last-Event-ID": "2"}) as stream:
        assert list(events_of(stream)) == events[2:]


def test_cancelled_in_the_middle_what_is_added_stays(served: Server, folder: Path) -> None:
    before = served.client.get("/v1/clips").json()["total"]
    place, response = begin(served, *LASTING), None
    with served.client.stream("GET", f"{place}/events") as stream:
        for _, kind, data in events_of(stream):
            if kind == "progress" and data["added"] and response is None:
                response = served.client.delete(place)
            last = kind, data
    assert last[0] == "done"
    assert last[1]["state"] == "cancelled"
    assert response.status_code == 200
    body = response.json()
    assert body["state"] == "cancelled"
    assert 0 < len(body["added"]) == last[1]["added"] < len(LASTING)
    assert served.client.get("/v1/clips").json()["total"] == before + len(body["added"])
    kept = [path for path in (folder / "uploads").iterdir() if path.is_file()]
    assert len(kept) == before + len(body["added"])
    assert [path.name for path in (folder / "uploads" / ".pending").iterdir()] == ["lock"]
    for late in (served.client.get, served.client.delete):
        served.problem(late(place), 404, "no job")


def test_a_client_that_stops_reading_holds_up_nothing(served: Server) -> None:
    files = [(f"{n}.wav", sounds.noise(0.3, seed=n)) for n in range(5)]
    place = begin(served, *files)
    with (
        httpx.Client(base_url=served.client.base_url) as idle,
        idle.stream("GET", f"{place}/events"),  # never read
    ):
        with served.client.stream("GET", f"{place}/events") as stream:
            assert list(events_of(stream))[-1][2]["state"] == "done"
        assert served.client.get("/healthz").status_code == 200


def test_jobs_that_are_none(served: Server) -> None:
    for path in ("/v1/jobs/nothing", "/v1/jobs/nothing/events"):
        served.problem(served.client.get(path), 404, "no job 'nothing'")
    served.problem(served.client.delete("/v1/jobs/nothing"), 404)
    served.problem(served.client.post("/v1/jobs"), 422, "file")
    served.problem(served.client.post("/v1/jobs", json={"file": []}), 422, "file")
    many = [("file", ("a.wav", b"x"))] * 101
    served.problem(served.client.post("/v1/jobs", files=many), 400)
    one = [("file", ("a.wav", sounds.noise(0.3)))]
    long = served.client.post("/v1/jobs", files=one, data={"licence": "x" * 1_001})
    served.problem(long, 422, "licence")
    place = begin(served, ("a.wav", sounds.noise(0.3)))
    odd = served.client.get(f"{place}/events", headers={"Last-Event-ID": "x"})
    served.problem(odd, 422, "Last-Event-ID")


def names_of(job: dict[str, object], server: Server) -> list[str]:
    """The titles of the clips that a job has added, in the order of their names."""
    added = cast(list[str], job["added"])
    clips = [server.client.get(f"/v1/clips/{clip}").json()["title"] for clip in added]
    return sorted(clips, key=int)


def follow(server: Server, place: str, after: int = 0) -> list[Event]:
    """A job's events after that number, to its end."""
    headers = {"Last-Event-ID": str(after)}
    with server.client.stream("GET", f"{place}/events", headers=headers) as stream:
        return list(events_of(stream))


@pytest.mark.slow
def test_killed_again_and_again_a_job_adds_each_sound_once(
    tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    arguments = ("--library", folder, "--model", model_folder)
    seen: list[Event] = []
    with serving(tmp_path / "log", *arguments) as server:
        place = begin(server, *MANY)
        server.process.kill()  # as soon as it is acknowledged
    for wait in (0.0, 0.3):
        with serving(tmp_path / "log", *arguments) as server:
            headers = {"Last-Event-ID": str(seen[-1][0] if seen else 0)}
            with server.client.stream("GET", f"{place}/events", headers=headers) as stream:
                for event in events_of(stream):
                    seen.append(event)
                    if event[2].get("ids"):  # amid the work, at another place each time
                        break
                time.sleep(wait)
                server.process.kill()
                server.process.wait(60)
    with serving(tmp_path / "log", *arguments) as server:
        seen += follow(server, place, seen[-1][0])
        assert [number for number, _, _ in seen] == list(range(1, len(seen) + 1))
        assert seen == follow(server, place)
        assert seen[-1][1:] == (
            "done",
            {"total": 100, "done": 100, "added": 100, "failed": 0, "state": "done", "problem": ""},
        )
        job = server.client.get(place).json()
        assert names_of(job, server) == [str(number) for number in range(100)]
        assert server.client.get("/v1/clips?k=1").json()["total"] == 100
        assert server.stop() == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    uploads = folder / "uploads"
    assert len([path for path in uploads.iterdir() if path.is_file()]) == 100
    assert [path.name for path in (uploads / ".pending").iterdir()] == ["lock"]
    assert list((folder / "jobs").iterdir()) == []


@pytest.mark.slow
def test_stopped_in_good_order_a_job_goes_on_with_the_next_service(
    tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    arguments = ("--library", folder, "--model", model_folder)
    with serving(tmp_path / "log", *arguments) as server:
        over = begin(server, ("a.wav", sounds.noise(0.3)), tags="first")
        before = follow(server, over)
        place = begin(server, *MANY, tags="second")
        with server.client.stream("GET", f"{place}/events") as stream:
            last = next(number for number, _, data in events_of(stream) if data["added"])
            assert server.stop() == 0
    with serving(tmp_path / "log", *arguments) as server:
        assert follow(server, over) == before
        later = follow(server, place, last)
        assert later[0][0] == last + 1
        assert later[-1][2]["added"] == 100
        clip = server.client.get(place).json()["added"][-1]
        assert server.client.get(f"/v1/clips/{clip}").json()["tags"] == ["second"]


@pytest.fixture
def two_services(tmp_path: Path, model_folder: Path) -> Iterator[tuple[Server, Server]]:
    """Two servers of one library, empty at first."""
    folder = tmp_path / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    arguments = ("--library", folder, "--model", model_folder)
    with (
        serving(tmp_path / "log-one", *arguments) as one,
        serving(tmp_path / "log-other", *arguments) as other,
    ):
        yield one, other


@contextlib.contextmanager
def held_after_a_batch(library_folder: Path) -> Iterator[None]:
    """Within, a job that has done a part never ends its next transaction. There was a job before.

    Readers see what was committed. The transaction ends with its process.
    """
    with contextlib.closing(sqlite3.connect(library_folder / "jobs.sqlite", timeout=60)) as db:
        db.execute(
            "CREATE VIEW endless AS WITH RECURSIVE number (n) AS "
            "(SELECT 1 UNION ALL SELECT n + 1 FROM number) SELECT count(*) AS never FROM number"
        )
        db.execute(
            "CREATE TRIGGER hold BEFORE INSERT ON events "
            'WHEN EXISTS (SELECT 1 FROM events WHERE job = NEW.job AND data LIKE \'%"ids": ["%\') '
            "BEGIN SELECT never FROM endless; END"
        )
        try:
            yield
        finally:
            db.execute("DROP TRIGGER hold")
            db.execute("DROP VIEW endless")


def lock_holder(lock: Path) -> int:
    """The process that holds a job's lock."""
    held = {
        int(fields[5].rpartition(":")[2]): int(fields[4])
        for fields in map(str.split, Path("/proc/locks").read_text().splitlines())
        if fields[1] == "FLOCK"
    }
    return held[lock.stat().st_ino]


@pytest.mark.slow
def test_a_job_is_known_to_all_services_and_taken_over_from_one_that_is_killed(
    tmp_path: Path, two_services: tuple[Server, Server]
) -> None:
    folder = tmp_path / "library"
    follow(two_services[0], begin(two_services[0], ("a.wav", sounds.noise(0.3))))
    with contextlib.ExitStack() as streams:
        with held_after_a_batch(folder):
            place = begin(two_services[0], *MANY)
            readers = [
                events_of(streams.enter_context(service.client.stream("GET", f"{place}/events")))
                for service in two_services
            ]
            first = [next(event for event in events if event[2]["added"]) for events in readers]
            assert first[0] == first[1]
            holder = lock_holder(folder / "jobs" / place.rpartition("/")[2] / "lock")
            killed = [service.process.pid for service in two_services].index(holder)
            two_services[killed].process.kill()
        rest = list(readers[1 - killed])  # this reader does not notice
    other = two_services[1 - killed]
    assert rest[0][0] == first[0][0] + 1
    assert [] in [data.get("ids") for _, _, data in rest]  # the other service has begun it anew
    assert (rest[-1][2]["state"], rest[-1][2]["added"]) == ("done", 100)
    job = other.client.get(place).json()
    assert names_of(job, other) == [str(number) for number in range(100)]


@pytest.mark.slow
def test_a_job_is_cancelled_through_another_service(two_services: tuple[Server, Server]) -> None:
    one, other = two_services
    place = begin(one, *LASTING)
    with one.client.stream("GET", f"{place}/events") as stream:
        events = events_of(stream)
        next(event for event in events if event[2]["added"])
        body = other.client.delete(place).json()
        last = list(events)[-1]
    assert (body["state"], last[2]["state"]) == ("cancelled", "cancelled")
    for service in two_services:
        service.problem(service.client.get(place), 404, "no job")
        total = service.client.get("/v1/clips?k=1").json()["total"]
        assert total == len(body["added"]) == last[2]["added"]
