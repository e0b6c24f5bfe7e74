"""Requests that would cost more than they should: refused before the work."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import ascii_lowercase

import httpx
import psutil
import pytest

from earmark.model.model_files import starter_model
from tests.service import sounds as made
from tests.service.server_process import Server, serving

QUICK = 10.0  # CPU seconds: far above what the refusals take, far below what the work would


def cpu_seconds(server: Server) -> float:
    """What its process has worked so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def test_labels_are_limited_each_and_in_all(server: Server, sounds: Path) -> None:
    sound = (sounds / "long.wav").read_bytes()
    before = cpu_seconds(server)
    for labels, says in (
        (" ".join(f"xq{number}zz" for number in range(6_000)) + ",rain", "in all"),
        ("dog," * 6_000, "in all"),
        ("a" * 150 + ",rain", "100 letters each"),
    ):
        server.problem(server.upload(sound, "/v1/classify", labels=labels), 422, says)
    assert cpu_seconds(server) - before < QUICK


def test_a_query_of_spaces_is_refused(server: Server) -> None:
    server.problem(server.client.get("/v1/search", params={"q": "   "}), 422, "only spaces")


def longest_without_life(server: Server) -> tuple[float, float]:
    """Seconds that liveness took at most while words of no language were encoded, and that
    encoding them took in all."""
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join("".join(draw.choices(ascii_lowercase, k=8)) for _ in range(count))

    queries = [words(55) for _ in range(40)]
    prompts = json.dumps({words(1): [*[words(11) for _ in range(19)], "dog"] for _ in range(8)})

    def search(query: str) -> int:
        return httpx.get(server.client.base_url.join("/v1/search"), params={"q": query}).status_code

    def classify() -> int:
        return server.upload(made.noise(), "/v1/classify", prompts=prompts).status_code

    slowest, started = 0.0, time.monotonic()
    with ThreadPoolExecutor(20) as pool, httpx.Client(base_url=server.client.base_url) as client:
        requests = [pool.submit(classify), *(pool.submit(search, query) for query in queries)]
        while not all(request.done() for request in requests):
            begun = time.monotonic()
            assert client.get("/healthz").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        assert [request.result() for request in requests] == [200] * len(requests)
    return slowest, time.monotonic() - started


@pytest.mark.slow
def test_no_word_is_unknown_and_memory_keeps_its_bar(tmp_path: Path) -> None:
    with serving(tmp_path / "log", EARMARK_MODEL=str(starter_model())) as server:
        found = server.client.get("/v1/search", params={"q": "thunderstrom quorkz …"}).json()
        assert found["understood"] == ["thunderstrom", "quorkz"]
        assert (found["guessed"], found["ignored"]) == ({}, ["…"])
        slowest, in_all = longest_without_life(server)
        assert slowest < max(1.0, in_all / 2)  # on a busy machine all takes longer
        assert psutil.Process(server.process.pid).memory_info().rss < 600e6  # DESIGN's bar
        assert server.stop() == 0
