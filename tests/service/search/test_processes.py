"""Processes that search, the queue before them, and what happens when one of them ends."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from earmark.index.errors import CursorError
from earmark.index.library import Library
from earmark.index.search.query import parse
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import SearchRequest
from earmark.model.encoders.load import load_embedder
from earmark.service.http.problems import ProblemError
from earmark.service.observability.metrics import Metrics
from earmark.service.search.batch import BatchResult, RenderedPage, run_batch
from earmark.service.search.processes import (
    ForkServer,
    ProcessWorker,
    SearchWorker,
    ThreadWorker,
)
from earmark.service.search.queue import MAX_BATCH, SearchQueue
from tests.index.made import new_clip, save_without_windows, without_windows
from tests.service import sounds
from tests.service.library_edits import address
from tests.service.server_process import Server, serving

pytestmark = pytest.mark.timeout(120)

WORDS = ("dog", "rain", "car", "bell", "glass", "sea")

forked = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


@pytest.fixture(scope="module")
def own_server(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Server]:
    """A server whose library and processes a test may spoil."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(library_folder, folder / "library")
    arguments = ("--library", folder / "library", "--model", model_folder)
    with serving(folder / "log", *arguments) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


def family(server: Server) -> tuple[psutil.Process, list[psutil.Process]]:
    """The fork server and its workers, when there is one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert server.client.get("/v1/search?q=dog").status_code == 200
        for child in psutil.Process(server.process.pid).children():
            if own := child.children():
                return child, own
    raise AssertionError("no process searches")


def gone(processes: Sequence[psutil.Process]) -> bool:
    """Whether they end soon; what nobody has asked for yet counts as ended."""
    until = time.monotonic() + 60
    while any(map(lives, processes)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(lives, processes))


def lives(process: psutil.Process) -> bool:
    """Whether a process has not ended."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@forked
def test_one_that_ends_at_rest_is_not_missed(own_server: Server) -> None:
    fork_server, (first, *_) = family(own_server)
    first.kill()
    assert gone([first])
    assert own_server.client.get("/v1/search?q=dog").status_code == 200
    again, (second, *_) = family(own_server)
    assert (again, first != second) == (fork_server, True)


@forked
def test_one_that_ends_at_work_costs_its_own_batch(own_server: Server) -> None:
    statuses: Counter[int] = Counter()
    stop = threading.Event()

    def searching(seed: int) -> None:
        with httpx.Client(base_url=own_server.client.base_url) as client:
            while not stop.is_set():
                seed += 1
                response = client.get(f"/v1/search?q={WORDS[seed % 6]}+{WORDS[seed % 5]}+x{seed}")
                statuses[response.status_code] += 1
                if response.status_code == 503:
                    assert response.headers["retry-after"] == "1"
                    assert "another takes its place" in response.json()["detail"]

    threads = [threading.Thread(target=searching, args=(1_000 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        for each in family_at_work(own_server):
            each.kill()
        time.sleep(0.3)
    until = time.monotonic() + 60
    while statuses[200] <= 50 and time.monotonic() < until:  # they go on after the last
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses.keys() <= {200, 503}
    assert statuses[200] > 50
    assert statuses[503] <= 5 * 2 * MAX_BATCH
    assert own_server.client.get("/v1/search?q=dog").status_code == 200


def family_at_work(server: Server) -> list[psutil.Process]:
    """The searching processes, as others keep them at work."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for child in psutil.Process(server.process.pid).children():
            if own := child.children():
                return own
    raise AssertionError("no process searches")


@forked
def test_they_end_with_the_service(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(tmp_path / "log", *arguments) as server:
        fork_server, own = family(server)
        assert server.stop() == 0
        assert gone([fork_server, *own])
    with serving(tmp_path / "log", *arguments) as server:
        fork_server, own = family(server)
        server.process.kill()
        assert gone([fork_server, *own])


@forked
def test_they_see_what_is_written(own_server: Server) -> None:
    family(own_server)
    for number in range(5):
        sound = sounds.noise(0.3, seed=number)
        added = own_server.upload(sound, "/v1/clips", title=f"Gong{number}")
        path = address(added.json()["id"])
        hits = own_server.client.get(f"/v1/search?q=gong{number}").json()["hits"]
        assert hits[0]["title"] == f"Gong{number}"
        assert own_server.client.patch(path, json={"title": "Tam"}).status_code == 200
        hits = own_server.client.get("/v1/search?q=tam").json()["hits"]
        assert "Tam" in [hit["title"] for hit in hits]
        assert own_server.client.delete(path).status_code == 204
        hits = own_server.client.get("/v1/search?q=tam").json()["hits"]
        assert "Tam" not in [hit["title"] for hit in hits]


@forked
def test_threads_search_when_no_more_can_be_made(own_server: Server) -> None:
    fork_server, own = family(own_server)
    fork_server.kill()
    assert gone([fork_server])
    before = own_server.client.get("/v1/search?q=dog+bell").json()  # by those that are there
    for each in own:
        each.kill()
    assert gone(own)
    assert own_server.client.get("/v1/search?q=dog+bell").json() == before
    assert "no more processes that search" in own_server.log.read_text()


class SocketPairs(ForkServer):
    """Gives connections as if it forked; `ends`: the other ends."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []

    def start_worker(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.ends.append(theirs)
        return ours


def test_one_that_starts_while_the_store_is_replaced_is_replaced_as_well(library: Library) -> None:
    async def run() -> None:
        pairs = SocketPairs()
        worker = ProcessWorker(pairs, library)
        starting = asyncio.create_task(worker._start())
        await asyncio.sleep(0)
        assert len(pairs.ends) == 1
        worker.renew()
        await starting
        first, second = pairs.ends
        first.settimeout(60)
        assert first.recv(1) == b""
        worker.close()
        for end in (first, second):
            end.close()
        await asyncio.sleep(0)

    asyncio.run(run())


# The queue before them


class Gated:
    """A thread that searches when it is let, and takes note. `cost`: seconds of work to report for
    each search, so that searches count as long."""

    depth = 1

    def __init__(self, library: Library, cost: float = 0.0) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Event()
        self._thread, self._cost = ThreadWorker(library), cost

    async def __call__(self, requests: Sequence[SearchRequest]) -> BatchResult:
        self.batches.append([request.query.text for request in requests])
        await self.go.wait()
        return replace(await self._thread(requests), cpu_seconds=self._cost * len(requests))

    def close(self) -> None:
        self._thread.close()


@pytest.fixture(scope="module")
def library(library_folder: Path, model_folder: Path) -> Iterator[Library]:
    with Library.open(library_folder, load_embedder(model_folder)) as library:
        yield library


def request(text: str, cursor: str = "") -> SearchRequest:
    return SearchRequest(parse(text), 3, cursor=cursor)


def queue_for(
    *workers: SearchWorker, max_waiting: int = 1_000, deadline: float = 60.0
) -> SearchQueue:
    return SearchQueue(workers, Metrics(), max_waiting=max_waiting, deadline=deadline)


async def started(queue: SearchQueue, *requests: SearchRequest) -> list[asyncio.Task[RenderedPage]]:
    """These searches, under way or waiting."""
    tasks = [asyncio.ensure_future(queue.search(request)) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_what_waits_is_the_next_batch(library: Library) -> None:
    async def run() -> None:
        worker = Gated(library)
        queue = queue_for(worker)
        first = await started(queue, request("dog"), request("rain"))
        more = await started(queue, request("car"), request("bell", cursor="bad"), request("sea"))
        assert worker.batches == [["dog", "rain"]]
        worker.go.set()
        alone = run_batch(library, [request("dog"), request("rain")])
        assert [await page for page in first] == alone.pages
        with pytest.raises(CursorError):
            await more[1]  # alone: the others have their answers
        assert b"Car engine" in (await more[0]).body
        assert (await more[2]).generation == library.generation
        assert worker.batches == [["dog", "rain"], ["car", "bell", "sea"]]
        await queue.close()

    asyncio.run(run())


def test_a_fault_costs_those_alone_that_cause_it(library: Library) -> None:
    async def run() -> None:
        queue = queue_for(ThreadWorker(library))
        bad = SearchRequest(parse("car"), k="three")  # type: ignore[arg-type]
        tasks = await started(queue, request("dog"), bad, request("rain"))
        for good, title in ((tasks[0], b"Dog barking"), (tasks[2], b"Rain on a metal")):
            assert title in (await good).body
        with pytest.raises(TypeError):
            await tasks[1]
        await queue.close()

    asyncio.run(run())


def test_a_full_queue_and_what_waits_too_long(library: Library) -> None:
    async def run() -> None:
        worker = Gated(library)
        queue = queue_for(worker, max_waiting=2, deadline=0.05)
        (first,) = await started(queue, request("dog"))
        late = await started(queue, request("rain"), request("car"))
        with pytest.raises(ProblemError) as full:
            await queue.search(request("bell"))
        assert full.value.status_code == 429
        late[1].cancel()  # its client leaves
        await asyncio.sleep(0.1)
        worker.go.set()
        assert (await first).body
        with pytest.raises(ProblemError) as waited:
            await late[0]
        assert waited.value.status_code == 504
        assert worker.batches == [["dog"]]
        assert (await queue.search(request("sea"))).body  # and goes on
        await queue.close()

    asyncio.run(run())


def test_a_second_helps_where_full_batches_wait(library: Library) -> None:
    async def run() -> None:
        one, other = Gated(library), Gated(library)
        queue = queue_for(one, other)
        tasks = await started(queue, *[request("dog")] * MAX_BATCH)
        assert (len(one.batches), len(other.batches)) == (1, 0)
        tasks += await started(queue, *[request("rain")] * (MAX_BATCH - 1))
        assert (len(one.batches), len(other.batches)) == (1, 0)
        tasks += await started(queue, request("rain"))
        assert (len(one.batches), len(other.batches)) == (1, 1)
        for worker in (one, other):
            worker.go.set()
        assert len({(await each).body for each in tasks}) == 2
        await queue.close()

    asyncio.run(run())


def test_long_searches_run_side_by_side(library: Library) -> None:
    async def run() -> None:
        one, other = Gated(library, cost=1.0), Gated(library, cost=1.0)
        queue = queue_for(one, other)
        one.go.set()
        await queue.search(request("dog"))
        one.go.clear()
        await started(queue, request("rain"), request("car"))
        assert (one.batches, other.batches) == ([["dog"], ["rain"]], [["car"]])
        for worker in (one, other):
            worker.go.set()
        await queue.close()

    asyncio.run(run())


@pytest.mark.slow
def test_an_index_from_before_windows_is_replaced_while_it_is_searched(
    tmp_path: Path, model_folder: Path
) -> None:
    """The processes that search are as well: a query finds the window that is like it."""
    embedder, folder, file = load_embedder(model_folder), tmp_path / "library", "vectors.snapshot"
    near = embedder.embed_tags([["dog"]])[0]
    generator = np.random.default_rng(0)
    with Library.open(folder, embedder, create=True) as library:
        with library.catalogue.write() as writer:
            for number in range(10):
                windows = generator.standard_normal((5_100, embedder.dim)).astype(np.float32)
                windows /= np.linalg.norm(windows, axis=1, keepdims=True)
                if number == 3:
                    windows[4_000] = near
                clip = new_clip(
                    f"clip{number}",
                    number,
                    vector=-near,
                    windows=windows,
                    starts=2.0 * np.arange(len(windows)),
                    duration=2.0 * len(windows),
                )
                writer.put(clip)
        before = FaissStore(library.catalogue.meta("library"), embedder.dim)
        before.apply(without_windows(library.catalogue.changes(0)))
    save_without_windows(before, folder / file)
    with serving(tmp_path / "log", "--library", folder, "--model", model_folder) as server:
        until, title = time.monotonic() + 60, ""
        while title != "clip3" and time.monotonic() < until:
            best = server.client.get("/v1/search?q=dog&k=1").raise_for_status().json()["hits"][0]
            title = best["title"]
        assert title == "clip3"
        assert best["cosine"] > 0  # that of its own vector is -1
        assert best["moments"][0]["start"] <= 8_000 <= best["moments"][0]["end"]
        assert server.stop() == 0
    assert "its index has been built anew" in (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert FaissStore(before._library, embedder.dim).load(folder / file)
