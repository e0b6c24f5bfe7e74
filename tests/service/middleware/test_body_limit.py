"""Limits over real servers: bodies, their length, uploads at once, the event loop, stopping."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.service import sounds
from tests.service.server_process import Server, serving

ENDLESS = 300_000_000  # bytes: far more than sockets hold by themselves


@pytest.fixture(scope="module")
def narrow(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Server]:
    """A server with narrow limits, all of them from the environment; stopped by SIGTERM."""
    log = tmp_path_factory.mktemp("narrow") / "log"
    limits = {
        "EARMARK_MAX_UPLOAD_MB": "1",
        "EARMARK_MAX_SECONDS": "100",
        "EARMARK_MAX_WAITING": "2",
        "EARMARK_THREADS": "1",
        "EARMARK_LIBRARY": str(library_folder),
        "EARMARK_MODEL": str(model_folder),
    }
    with serving(log, **limits) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


def slow_sound(seconds: float = 90.0) -> bytes:
    """A sound that takes a while: long, but few bytes."""
    levels = np.random.default_rng(0).uniform(-0.5, 0.5, int(seconds * 8_000))
    return sounds.encoded(levels, 8_000, subtype="PCM_U8")


def test_a_body_over_the_limit_is_refused(narrow: Server) -> None:
    body = narrow.problem(narrow.upload(bytes(1_100_000)), 413, "at most 1000000 bytes")
    assert body["type"] == "/problems/too-large"
    narrow.problem(narrow.upload(bytes(900_000)), 422)  # under it: read, and no sound


def test_embeddings_over_the_limit_are_refused_as_uploads_are(narrow: Server) -> None:
    from openai import APIStatusError, OpenAI

    sound = {"data": "A" * 1_100_000}
    base = f"http://127.0.0.1:{narrow.port}/v1"
    with (
        OpenAI(base_url=base, api_key="none", max_retries=0) as client,
        pytest.raises(APIStatusError, match="at most 1000000 bytes") as refused,
    ):
        client.embeddings.create(
            model="earmark", input=[{"type": "input_audio", "input_audio": sound}]
        )
    assert (refused.value.status_code, refused.value.code) == (413, "too_large")


def answer_to(server: Server, head: bytes, again: bytes = b"") -> tuple[bytes, int]:
    """Send `head` and then `again` and again until an answer comes; it, and what was sent."""
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(head)
        connection.setblocking(False)
        answer = b""
        while b"\r\n\r\n" not in answer and sent < ENDLESS:
            try:
                answer += connection.recv(65_536)
                continue
            except BlockingIOError:
                pass
            try:
                sent += connection.send(again[sent % len(again) :]) if again else 0
            except (BlockingIOError, ConnectionError):
                time.sleep(0.001)
    return answer, sent


def test_a_declared_length_over_the_limit_is_refused_before_anything_is_sent(
    narrow: Server,
) -> None:
    head = (
        "POST /v1/tags HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    answer, sent = answer_to(narrow, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent == 0


def test_a_chunked_body_is_refused_as_soon_as_it_passes_the_limit(narrow: Server) -> None:
    head = (
        "POST /v1/tags HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    first, again = (b"%x\r\n%b\r\n" % (len(part), part) for part in (start, bytes(65_536)))
    answer, sent = answer_to(narrow, head.encode() + first, again)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    assert 1_000_000 < sent < ENDLESS


def test_a_sound_that_is_too_long_is_refused(narrow: Server) -> None:
    narrow.problem(narrow.upload(slow_sound(101)), 422, "at most 100 s of sound, got more")


def test_more_uploads_at_once_than_may_wait(narrow: Server) -> None:
    sound = slow_sound()

    def upload(_: int) -> httpx.Response:
        return httpx.post(
            f"{narrow.client.base_url}/v1/tags", files={"file": ("a.wav", sound)}, timeout=60
        )

    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(upload, range(32)))
    statuses = [response.status_code for response in responses]
    assert set(statuses) == {200, 429}
    busy = [response for response in responses if response.status_code == 429]
    assert all(int(response.headers["retry-after"]) >= 1 for response in busy)
    narrow.problem(busy[0], 429, "2 uploads are in work or waiting")
    answers = [response.text for response in responses if response.status_code == 200]
    assert set(answers) == {answers[0]}
    assert narrow.upload(sounds.noise()).status_code == 200  # and then it is free again


def test_thirty_two_uploads_at_once_are_all_answered_alike(server: Server) -> None:
    files = [sounds.noise(0.5 + number % 4, seed=number % 4) for number in range(32)]
    alone = [server.upload(files[number]).json() for number in range(4)]

    def upload(sound: bytes) -> httpx.Response:
        address = f"{server.client.base_url}/v1/tags"
        return httpx.post(address, files={"file": ("a.wav", sound)}, timeout=60)

    with ThreadPoolExecutor(32) as pool:
        responses = list(pool.map(upload, files))
    statuses = [response.status_code for response in responses]
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 16
    for number, response in enumerate(responses):
        if response.status_code == 200:
            assert response.json()["tags"] == alone[number % 4]["tags"]


def test_the_server_answers_while_it_works_on_uploads(server: Server) -> None:
    sound, done = slow_sound(), threading.Event()

    def upload() -> None:
        address = f"{server.client.base_url}/v1/tags"
        for _ in range(3):
            assert httpx.post(address, files={"file": ("a.wav", sound)}, timeout=60).is_success
        done.set()

    worker = threading.Thread(target=upload)
    worker.start()
    amid = 0
    while not done.is_set() and worker.is_alive():
        assert server.client.get("/healthz", timeout=60).json() == {"status": "alive"}
        assert server.client.get("/v1/search?q=dog", timeout=60).status_code == 200
        amid += not done.is_set()
    worker.join()
    assert done.is_set()
    assert amid >= 5  # far more while the event loop is free; 3 at most when uploads hold it


def test_stopping_while_an_upload_is_in_work_still_answers_it(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(tmp_path / "log", *arguments) as server, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.upload, slow_sound(300))
        time.sleep(0.3)
        assert server.stop() == 0
        assert waiting.result().status_code == 200
    assert "Traceback" not in (tmp_path / "log").read_text()
