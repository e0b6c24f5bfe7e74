"""The images, really built and run. Takes minutes, so it is asked for:

    EARMARK_IMAGES=SCRIPT python -m pytest tests/docker/test_images.py

builds on stand-ins for the base images, made by SCRIPT (`SCRIPT base NAME`, `SCRIPT build
DOCKERFILE CONTEXT TAG ARG=VALUE…`); with `registry` in its place, on the real ones, PyTorch's CPU
builds from EARMARK_TORCH_INDEX. As root, with buildah.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.docker.container import Running, build, container
from tests.index.made import ROOT
from tests.service.server_process import free_port

SCRIPT = os.environ.get("EARMARK_IMAGES", "")
USER = 10001
DEMO = ROOT / "index" / "demo" / "audio"

pytestmark = [
    pytest.mark.container,
    pytest.mark.skipif(not SCRIPT, reason="EARMARK_IMAGES does not say on what to build"),
    pytest.mark.skipif(not shutil.which("buildah"), reason="no buildah"),
    pytest.mark.skipif(os.getuid() != 0, reason="containers are made by root"),
    pytest.mark.timeout(1800),
]


def owned(folder: Path) -> Path:
    """A volume: a new folder of the image's user, whatever its parents forbid."""
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


@pytest.fixture(scope="module")
def service() -> str:
    index = os.environ.get("EARMARK_TORCH_INDEX", "")
    build("service.Dockerfile", "earmark-service:test", SCRIPT, TORCH_INDEX=index)
    return "earmark-service:test"


@pytest.fixture(scope="module")
def service_onnx() -> str:
    index = os.environ.get("EARMARK_TORCH_INDEX", "")
    build("service-onnx.Dockerfile", "earmark-service-onnx:test", SCRIPT, TORCH_INDEX=index)
    return "earmark-service-onnx:test"


@pytest.fixture(scope="module")
def service_gpu() -> str:
    build("service-gpu.Dockerfile", "earmark-service-gpu:test", SCRIPT, **cuda())
    return "earmark-service-gpu:test"


@pytest.fixture(scope="module")
def training() -> str:
    build("training.Dockerfile", "earmark-training:test", SCRIPT, **cuda())
    return "earmark-training:test"


def cuda() -> dict[str, str]:
    """On stand-ins torch is whatever build can be had."""
    return {} if SCRIPT == "registry" else {"CUDA": ""}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return owned(tmp_path_factory.mktemp("volumes") / "library")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "log"


@pytest.fixture
def running(service: str, library: Path, log: Path) -> Iterator[tuple[Running, httpx.Client]]:
    port = free_port()
    with (
        container(service, log, volumes={library: "/library"}, EARMARK_PORT=port) as started,
        httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client,
    ):
        started.wait_healthy()
        yield started, client


def upload(client: httpx.Client, path: str, sound: Path, **data: str) -> httpx.Response:
    return client.post(path, files={"file": (sound.name, sound.read_bytes())}, data=data)


def test_the_service_without_a_network(service: str, tmp_path: Path) -> None:
    """Nothing is fetched at the start."""
    volume = owned(tmp_path / "library")
    log = tmp_path / "log"
    with container(service, log, volumes={volume: "/library"}, network=False) as started:
        assert started.wait_healthy() < 120
        assert started.run("earmark-health", "/readyz").returncode == 0
        wrong = started.run("earmark-health", "/v1/clips/missing")
        assert (wrong.returncode, wrong.stderr) == (1, "/v1/clips/missing: 404\n")


def test_the_service_without_torch(service_onnx: str, tmp_path: Path) -> None:
    volume = owned(tmp_path / "library")
    port = free_port()
    with (
        container(
            service_onnx, tmp_path / "log", volumes={volume: "/library"}, EARMARK_PORT=port
        ) as started,
        httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client,
    ):
        started.wait_healthy()
        assert "No module named 'torch'" in started.run("python", "-c", "import torch").stderr
        hits = client.get("/v1/search", params={"q": "thunder storm", "k": 5}).json()["hits"]
        assert all("thunder" in hit["tags"] for hit in hits)
        assert upload(client, "/v1/tags", next(DEMO.glob("*"))).json()["tags"]


def test_the_service_as_it_runs(running: tuple[Running, httpx.Client]) -> None:
    started, client = running
    first = started.first
    assert first.name() == "tini"
    served = [each for each in first.children(recursive=True) if each.name() != "tini"]
    assert served
    assert {each.uids().real for each in [first, *served]} == {USER}
    for place in ("/", "/usr", "/opt/earmark", "/usr/share/licenses/earmark"):
        assert "Read-only" in started.run("touch", f"{place}/x").stderr
    assert started.run("touch", "/library/x", "/tmp/x").returncode == 0
    assert "not permitted" in started.run("chown", "0:0", "/library/x").stderr
    assert started.run("rm", "/library/x").returncode == 0
    licences = started.run("ls", "/usr/share/licenses/earmark").stdout.split()
    assert licences == ["ATTRIBUTION.md", "LICENSE", "README.md"]

    hits = client.get("/v1/search", params={"q": "thunder storm", "k": 5}).json()["hits"]
    assert all("thunder" in hit["tags"] for hit in hits)
    sound = next(DEMO.glob("*"))
    tags = upload(client, "/v1/tags", sound).json()["tags"]
    assert [each["score"] for each in tags] == sorted((t["score"] for t in tags), reverse=True)
    audio = client.get(hits[0]["audio"])
    assert (audio.status_code, len(audio.content) > 1000) == (200, True)
    assert client.get("/").headers["content-type"].startswith("text/html")


def test_the_service_stopped_amid_work(
    running: tuple[Running, httpx.Client], service: str, library: Path, log: Path
) -> None:
    """What was accepted is answered, what was acknowledged is there after a start."""
    started, client = running
    sounds = sorted(DEMO.glob("*"))[:24]
    answers: dict[str, int] = {}

    def send(sound: Path) -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            answers[sound.name] = upload(own, "/v1/tags", sound).status_code

    threads = [threading.Thread(target=send, args=(sound,)) for sound in sounds]
    for thread in threads:
        thread.start()
    while not answers:
        time.sleep(0.005)
    status, seconds = started.stop(30)
    for thread in threads:
        thread.join()
    assert (status, seconds < 10) == (0, True)
    assert set(answers.values()) == {200}
    assert len(answers) == len(sounds)


def test_one_s_own_library_is_kept(service: str, library: Path, tmp_path: Path) -> None:
    """Made and served by the same image; what was added through HTTP outlives the container."""
    volumes = {library: "/library", DEMO: "/sounds"}
    add = ("add", "/sounds", "--library", "/library/sounds")
    with container(service, tmp_path / "add", *add, volumes=volumes) as adding:
        assert adding.engine.wait(200) == 0, adding.log.read_text()
    keys = ("keys", "add", "--name", "me", "--scope", "write")
    given = {"EARMARK_LIBRARY": "/library/sounds", "EARMARK_KEYS": "/library/keys"}
    with container(service, tmp_path / "keys", *keys, volumes=volumes, **given) as asked:
        assert asked.engine.wait(60) == 0
    key = (tmp_path / "keys").read_text().split()[-1]
    found = []
    for turn in range(2):
        port = free_port()
        log = tmp_path / f"log{turn}"
        with (
            container(service, log, volumes=volumes, EARMARK_PORT=port, **given) as started,
            httpx.Client(base_url=f"http://localhost:{port}", timeout=60) as client,
        ):
            started.wait_healthy()
            client.headers["x-api-key"] = key
            if turn == 0:
                said = {"title": "A quite unheard of zither", "tags": "zither"}
                added = upload(client, "/v1/clips", sorted(DEMO.glob("*"))[0], **said)
                assert added.status_code in (200, 201), added.text
            hits = client.get("/v1/search", params={"q": "unheard zither", "k": 1}).json()["hits"]
            found.append(hits[0]["id"])
            assert started.stop(30)[0] == 0
    assert found[0] == found[1]


def test_the_service_for_gpus_never_falls_back(service_gpu: str, tmp_path: Path) -> None:
    volumes = {owned(tmp_path / "library"): "/library"}
    with container(service_gpu, tmp_path / "log", volumes=volumes) as started:
        assert started.engine.wait(60) != 0
    said = (tmp_path / "log").read_text()
    assert "cuda" in said
    assert "Traceback" not in said


def test_the_service_for_gpus_is_the_service(service_gpu: str, tmp_path: Path) -> None:
    volumes = {owned(tmp_path / "library"): "/library"}
    given = {"EARMARK_DEVICE": "cpu", "EARMARK_PORT": free_port()}
    with container(service_gpu, tmp_path / "log", volumes=volumes, **given) as started:
        started.wait_healthy()
        assert started.run("earmark-health", "/v1/search?q=rain").returncode == 0
        assert started.stop(30)[0] == 0


ARGUMENTS = ("--preset", "starter", "--data", "/data", "--out", "/runs/first", "--resume")


def train(
    image: str, shared: Path, runs: Path, log: Path, *more: str, **environment: object
) -> AbstractContextManager[Running]:
    """The training container on ESC-10."""
    volumes = {shared / "data" / "esc10": "/data", runs: "/runs"}
    return container(image, log, *ARGUMENTS, *more, volumes=volumes, **environment)


@pytest.mark.parametrize("processes", [1, 2])
def test_training_is_stopped_and_goes_on(
    training: str, shared: Path, tmp_path: Path, processes: int
) -> None:
    """One epoch, then SIGTERM amid the next; the same command ends what is left."""
    runs = owned(tmp_path / "runs")
    curve = runs / "first" / "log.jsonl"
    log = tmp_path / "log"
    given = {"EARMARK_DEVICE": "cpu", "EARMARK_PROCESSES": processes}
    with train(training, shared, runs, log, "--epochs", "3", **given) as started:
        deadline = time.monotonic() + 600
        while not curve.exists() or not curve.read_text():
            assert started.engine.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        time.sleep(1)
        status, seconds = started.stop(60)
    assert status == (130 if processes == 1 else 1), log.read_text()
    assert seconds < 60
    assert len(curve.read_text().splitlines()) < 3
    with train(training, shared, runs, log, "--epochs", "3", **given) as started:
        assert started.engine.wait(600) == 0, log.read_text()
    said = log.read_text()
    assert "resuming after epoch" in said
    assert [json.loads(line)["epoch"] for line in curve.read_text().splitlines()] == [1, 2, 3]
    assert "best model: /runs/first" in said


def test_training_without_a_gpu_says_so(training: str, shared: Path, tmp_path: Path) -> None:
    runs = owned(tmp_path / "runs")
    log = tmp_path / "log"
    with train(training, shared, runs, log) as started:
        assert started.engine.wait(60) == 2
    expected = "earmark-train: no GPU is there; EARMARK_DEVICE=cpu trains without one"
    assert expected in log.read_text()
