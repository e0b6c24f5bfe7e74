"""Requests that would cost more than they should: refused before the work."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from model.checkpoint import starter_model
from tests.service.server import Server, serving

QUICK = 10.0  # seconds: far above what the refusals take, far below what the work would


def test_labels_are_limited_each_and_in_all(server: Server, sounds: Path) -> None:
    sound = (sounds / "long.wav").read_bytes()
    started = time.monotonic()
    for labels, says in (
        (" ".join(f"xq{number}zz" for number in range(6_000)) + ",rain", "in all"),
        ("dog," * 6_000, "in all"),
        ("a" * 150 + ",rain", "100 letters each"),
    ):
        server.problem(server.upload(sound, "/v1/classify", labels=labels), 422, says)
    assert time.monotonic() - started < QUICK


def test_a_query_of_spaces_is_refused(server: Server) -> None:
    server.problem(server.client.get("/v1/search", params={"q": "   "}), 422, "only spaces")


def test_guesses_are_told_and_memory_keeps_its_bar(tmp_path: Path) -> None:
    with serving(tmp_path / "log", EARMARK_MODEL=str(starter_model())) as server:
        found = server.client.get("/v1/search", params={"q": "thunderstrom quorkz"}).json()
        assert found["understood"] == ["thunderstrom"]
        assert found["guessed"] == {"thunderstrom": "thunderstorm"}
        assert found["ignored"] == ["quorkz"]
        assert psutil.Process(server.process.pid).memory_info().rss < 600e6  # DESIGN's bar
        assert server.stop() == 0
