"""Uploads under way: events, known tags, labels with prompts, clients that leave, deadlines."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from earmark.model.calibration import rescore_given_tags
from earmark.model.encoders.load import load_embedder
from earmark.model.zero_shot import Labels, label_probabilities
from tests.model import tiny
from tests.service import sounds
from tests.service.server_process import Server, serving


@pytest.fixture(scope="module")
def long() -> bytes:
    """Eight minutes."""
    return sounds.encoded(np.tile(tiny.noise(10.0, 8_000), 48), 8_000, format="FLAC")


@pytest.fixture(scope="module")
def small_queue(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Server]:
    """A server that takes one upload at a time, two at most, within ten seconds."""
    log = tmp_path_factory.mktemp("small_queue") / "log"
    limits = {"THREADS": "1", "MAX_WAITING": "2", "UPLOAD_SECONDS": "10"}
    environment = {f"EARMARK_{name}": value for name, value in limits.items()}
    arguments = ("--library", library_folder, "--model", model_folder)
    with serving(log, *arguments, **environment) as server:
        yield server
        assert "Traceback" not in log.read_text()


def events(response: httpx.Response) -> list[tuple[str, dict[str, object]]]:
    """(event, data) of all events of an answer."""
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.replace("\r\n", "\n").strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def uploaded(server: Server, sound: bytes, path: str = "/v1/tags", **data: str) -> httpx.Response:
    return server.client.post(
        path,
        files={"file": ("a.wav", sound)},
        data=data,
        headers={"accept": "text/event-stream"},
    )


def metric(server: Server, name: str) -> float:
    for line in server.client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def readers(server: Server) -> list[psutil.Process]:
    """The processes that decode."""
    children = psutil.Process(server.process.pid).children()
    return [
        process
        for process in children
        if "earmark.model.inference.decode_pool" in " ".join(process.cmdline())
    ]


def test_a_long_upload_tells_how_far_it_is(server: Server, long: bytes) -> None:
    progress = events(uploaded(server, long, k="3"))
    assert [name for name, _ in progress[:-1]] == ["progress"] * (len(progress) - 1)
    seconds = [float(str(data["seconds"])) for _, data in progress[:-1]]
    assert len(seconds) > 3
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(480, abs=3)
    assert progress[-1] == ("result", server.upload(long).json())


def test_events_end_with_the_problem(server: Server) -> None:
    ((name, problem),) = events(uploaded(server, b"no sound"))
    assert name == "problem"
    assert (problem["type"], problem["status"]) == ("/problems/not-a-sound", 422)


def test_known_tags_draw_others_and_are_not_suggested(server: Server, model_folder: Path) -> None:
    sound = sounds.noise(1.0, seed=5)
    plain = server.upload(sound, "/v1/tags?k=20").json()
    known = plain["tags"][0]["tag"]
    beside = server.upload(sound, "/v1/tags?k=20", tags=f"{known}, zzzqqq").json()
    assert (beside["known"], beside["ignored"]) == ([known], ["zzzqqq"])
    assert known not in [tag["tag"] for tag in beside["tags"]]
    embedder = load_embedder(model_folder)
    expected = embedder.embed_audio(sound)
    vocabulary = embedder.vocabulary_vectors
    alone = embedder.calibration.probabilities(vocabulary @ expected.vector)
    cosines = vocabulary @ embedder.embed_tags([[known]])[0]
    given = rescore_given_tags(embedder.card, alone, cosines)
    scores = dict(zip(embedder.vocabulary, given, strict=True))
    for tag in beside["tags"]:
        assert tag["score"] == pytest.approx(float(scores[tag["tag"]]), abs=1e-5)
    too_many = ",".join(f"tag{number}" for number in range(51))
    server.problem(server.upload(sound, tags=too_many), 422, "tags: expected at most 50, got 51")


def test_labels_may_have_prompts_and_be_true_at_once(server: Server, model_folder: Path) -> None:
    sound = sounds.noise(1.0, seed=5)
    prompts = json.dumps({"animal": ["dog", "bark"], "weather": ["rain"], "bell": ["bell"]})
    one = server.upload(sound, "/v1/classify", prompts=prompts).json()["classes"]
    assert {label["label"] for label in one} == {"animal", "weather", "bell"}
    assert sum(label["probability"] for label in one) == pytest.approx(1, abs=1e-6)
    many = server.upload(sound, "/v1/classify", prompts=prompts, multiple="true").json()["classes"]
    assert [label["label"] for label in many] != [] and all(
        0 <= label["probability"] <= 1 for label in many
    )
    embedder = load_embedder(model_folder)
    vector = embedder.embed_audio(sound).vector
    labels = Labels(["weather", "bell"], embedder.embed_tags([["rain"], ["bell"]]), [], [])
    expected = label_probabilities(embedder, labels, vector)
    got = {label["label"]: label["probability"] for label in many}
    assert [got["weather"], got["bell"]] == pytest.approx(expected.tolist(), abs=1e-5)
    alone = server.upload(sound, "/v1/classify", labels="dog", multiple="true").json()
    assert len(alone["classes"]) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"labels": "dog,rain", "prompts": "{}"}, "expected either labels or prompts"),
        ({"prompts": "dog"}, "prompts: expected a JSON object of labels and lists of words"),
        ({"prompts": '["dog"]'}, "prompts: expected a JSON object"),
        ({"prompts": '{"dog": "rain"}'}, "prompts: expected a JSON object"),
        ({"prompts": '{"dog": []}'}, "prompts: expected a JSON object"),
        ({"prompts": '{"dog": ["dog"]}'}, "labels: expected 2 to 200 different ones, got 1"),
        ({"prompts": '{"a": ["dog"], "b": ["zzzqqq"]}'}, "labels: not understood: 'b'"),
        ({"labels": "dog,rain", "multiple": "perhaps"}, "multiple: "),
    ],
)
def test_labels_and_prompts_that_cannot_be_used(
    server: Server, data: dict[str, str], says: str
) -> None:
    server.problem(server.upload(sounds.noise(), "/v1/classify", **data), 422, says)


def test_a_full_queue_says_so_before_it_takes_the_body(small_queue: Server, long: bytes) -> None:
    answers: list[int] = []

    def upload() -> None:
        with httpx.Client(base_url=small_queue.client.base_url, timeout=60) as client:
            answers.append(client.post("/v1/tags", files={"file": ("a.ogg", long)}).status_code)

    threads = [threading.Thread(target=upload) for _ in range(2)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while (
        metric(small_queue, "earmark_uploads_waiting")
        + metric(small_queue, "earmark_uploads_working")
        < 2
        and time.monotonic() < until
    ):
        time.sleep(0.01)
    with socket.create_connection(("127.0.0.1", small_queue.port)) as client:
        # Only the head of a request; its body never comes.
        client.sendall(
            b"POST /v1/tags HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        client.settimeout(60)
        head = client.recv(4096)
    for thread in threads:
        thread.join()
    assert head.startswith(b"HTTP/1.1 429")
    assert b"retry-after: " in head.lower()
    assert set(answers) <= {200, 504}


def test_what_is_not_done_in_time_is_given_up(small_queue: Server, long: bytes) -> None:
    assert small_queue.upload(sounds.noise()).status_code == 200
    (process,) = readers(small_queue)
    before = metric(small_queue, 'earmark_rejected_total{reason="deadline"}')
    process.suspend()  # as a decoder that hangs
    begun = time.monotonic()
    small_queue.problem(small_queue.upload(sounds.noise()), 504, "not done within 10 s")
    assert 9 < time.monotonic() - begun < 60
    assert metric(small_queue, 'earmark_rejected_total{reason="deadline"}') == before + 1
    assert small_queue.upload(sounds.noise()).status_code == 200  # by another process
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_client_that_leaves_makes_room(small_queue: Server, long: bytes) -> None:
    cancelled = metric(small_queue, "earmark_cancelled_total")
    body = b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n"
    body += long + b"\r\n--x--\r\n"
    head = (
        "POST /v1/tags HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    for _ in range(6):  # three times what may wait
        with socket.create_connection(("127.0.0.1", small_queue.port)) as client:
            client.sendall(head.encode() + body)
            time.sleep(0.15)
    until = time.monotonic() + 60
    while (response := small_queue.upload(sounds.noise())).status_code == 429:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert response.status_code == 200
    assert metric(small_queue, "earmark_cancelled_total") > cancelled


def test_a_decoder_that_is_killed_costs_its_own_upload(server: Server, long: bytes) -> None:
    assert server.upload(sounds.noise()).status_code == 200
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(server.upload(long)))
    thread.start()
    time.sleep(0.3)
    for process in readers(server):
        os.kill(process.pid, signal.SIGKILL)
    thread.join()
    assert answers[0].status_code in {200, 422}
    assert server.upload(sounds.noise()).status_code == 200
    assert server.process.poll() is None


OPEN = """
import sys
from pathlib import Path
from threadpoolctl import threadpool_info
from earmark.service.services import open_library
from earmark.service.settings import Settings

open_library(Settings(model=Path(sys.argv[1]), library=Path(sys.argv[2]))).close()
import torch
blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
print(torch.get_num_threads(), *blas)
"""


def test_requests_share_the_cores(model_folder: Path, library_folder: Path) -> None:
    """No request takes a team of threads, whose members would wait for each other's. In a process
    of its own, where loading the model imports torch."""
    command = [sys.executable, "-c", OPEN, str(model_folder), str(library_folder)]
    teams = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    found = subprocess.run(command, env={**os.environ, **teams}, stdout=subprocess.PIPE, check=True)
    assert found.stdout.split() == [b"1", b"1"]
