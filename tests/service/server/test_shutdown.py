"""Readiness that means it, and stopping: what was accepted is answered, and then it ends."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from earmark.index.errors import StorageError
from earmark.service.http.problems import ProblemError
from earmark.service.server.readiness import Readiness
from tests.service import sounds
from tests.service.server_process import Server, serving


def slow_sound(seconds: float) -> bytes:
    """A sound that takes a while: long, but few bytes."""
    minute = np.random.default_rng(0).uniform(-0.5, 0.5, 480_000).astype(np.float32)
    levels = np.tile(minute, math.ceil(seconds / 60))
    return sounds.encoded(levels, 8_000, subtype="PCM_U8")


def begun(server: Server, pool: ThreadPoolExecutor, seconds: float) -> Future[httpx.Response]:
    """An upload that the server is at work on."""
    upload = pool.submit(server.upload, slow_sound(seconds))
    until = time.monotonic() + 60
    with httpx.Client(base_url=server.client.base_url) as other:
        while "earmark_uploads_working 1.0" not in other.get("/metrics").text:
            assert time.monotonic() < until
            assert not upload.done(), "too fast to stop amid"
            time.sleep(0.01)
    return upload


@pytest.mark.slow
def test_stopped_it_is_not_ready_answers_what_it_accepted_and_ends_with_0(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    arguments = ("--library", library_folder, "--model", model_folder)
    settings = {"EARMARK_DRAIN_SECONDS": "3", "EARMARK_MAX_SECONDS": "3000"}
    with serving(tmp_path / "log", *arguments, **settings) as server, ThreadPoolExecutor(1) as pool:
        upload = begun(server, pool, 500)
        with httpx.Client(base_url=server.client.base_url, timeout=60) as other:
            assert other.get("/readyz").status_code == 200
            server.process.send_signal(signal.SIGTERM)
            since = time.monotonic()
            while (ready := other.get("/readyz")).status_code == 200:
                assert time.monotonic() - since < 3
            body = ready.json()
            assert (ready.status_code, body["type"]) == (503, "/problems/unavailable")
            assert body["detail"] == "the service is shutting down"
            assert other.get("/healthz").status_code == 200
            assert other.get("/v1/search?q=dog").status_code == 200  # while it still listens
        assert upload.result(timeout=60).status_code == 200
        assert server.process.wait(timeout=60) == 0
        assert time.monotonic() - since >= 3
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.client.base_url}/healthz")
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_work_that_takes_too_long_is_given_up_and_a_second_signal_ends_at_once(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    arguments = ("--library", library_folder, "--model", model_folder)
    settings = {"EARMARK_MAX_SECONDS": "30000", "EARMARK_MAX_UPLOAD_MB": "300"}
    for again in (False, True):
        log = tmp_path / f"log-{again}"
        settings["EARMARK_SHUTDOWN_SECONDS"] = "600" if again else "1"
        with serving(log, *arguments, **settings) as server, ThreadPoolExecutor(1) as pool:
            upload = begun(server, pool, 3_000)
            server.process.send_signal(signal.SIGINT)
            if again:
                time.sleep(0.5)
                server.process.send_signal(signal.SIGINT)
            status = server.process.wait(timeout=60)
            assert status == (128 + signal.SIGINT if again else 0)
            failed = upload.exception(timeout=60)
            assert isinstance(failed, httpx.TransportError) or upload.result().status_code >= 500


def checked(readiness: Readiness, count: int = 1) -> list[BaseException | None]:
    """What `count` checks at once come to."""

    async def all_of_them() -> list[BaseException | None]:
        return await asyncio.gather(
            *(readiness.check() for _ in range(count)), return_exceptions=True
        )

    return asyncio.run(all_of_them())


def refused(readiness: Readiness) -> str:
    with pytest.raises(ProblemError) as refusal:
        asyncio.run(readiness.check())
    assert refusal.value.name == "unavailable"
    return str(refusal.value.detail)


def test_not_ready_before_there_is_a_library_nor_after_a_stop() -> None:
    readiness = Readiness(1.0)
    assert refused(readiness) == "the service is starting"
    readiness.search = lambda: asyncio.sleep(0)
    assert checked(readiness) == [None]
    readiness.stop()
    assert refused(readiness) == "the service is shutting down"


def test_a_search_that_hangs_is_not_ready_and_only_one_is_under_way() -> None:
    searches = []

    async def hangs() -> None:
        searches.append(1)
        await asyncio.sleep(60)

    readiness = Readiness(0.05)
    readiness.search = hangs
    found = checked(readiness, 50)
    assert {str(error) for error in found} == {"503: a search takes longer than 0.05 s"}
    assert len(searches) == 1


def test_a_search_that_is_refused_is_not_ready() -> None:
    async def fails() -> None:
        raise ProblemError("busy", "512 searches are waiting")

    readiness = Readiness(1.0)
    readiness.search = fails
    assert refused(readiness) == "512 searches are waiting"


def test_a_store_that_does_not_answer_passes_its_error() -> None:
    async def fails() -> None:
        raise StorageError("gone")

    readiness = Readiness(1.0)
    readiness.search = fails
    assert [type(error) for error in checked(readiness)] == [StorageError]
