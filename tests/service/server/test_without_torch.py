"""The service, the command line and the demo work from an ONNX export where torch is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.onnx_export.export import export
from tests.conftest import ROOT
from tests.index.made import environment
from tests.prepared import COMMAND
from tests.service import sounds
from tests.service.library_edits import add
from tests.service.server_process import Server, serving

pytestmark = pytest.mark.slow
MAP_SECONDS = 60.0
DEMO = ROOT / "index/demo/audio"
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of processes that cannot import torch, and must serve by ONNX."""
    folder = tmp_path_factory.mktemp("blocker")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "EARMARK_RUNTIME": "onnx"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """The tiny model's export."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(model_folder, folder)
    return folder


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
    exported: Path,
    library_folder: Path,
    without_torch: dict[str, str],
) -> Iterator[Server]:
    """A server of a library that torch has made."""
    folder = tmp_path_factory.mktemp("served")
    library = shutil.copytree(library_folder, folder / "library")
    arguments = ("--library", library, "--model", exported)
    with serving(folder / "log", *arguments, anew=True, **without_torch) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in (folder / "log").read_text()


def python(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def answered(response: httpx.Response) -> httpx.Response:
    assert response.status_code in (200, 201, 202), (response.url, response.text)
    return response


def test_sounds_are_found_and_phrases_embedded(served: Server, model_folder: Path) -> None:
    client = served.client
    hits = answered(client.get("/v1/search", params={"q": "rain", "k": 3})).json()["hits"]
    assert hits[0]["title"] == "Rain on a metal roof"
    clip = f"/v1/clips/{hits[0]['id']}"
    for part in ("", "/similar", "/tags", "/classify?labels=rain,dog", "/timeline", "/waveform"):
        answered(client.get(f"{clip}{part}"))
    (entry,) = answered(client.post("/v1/embeddings", json={"input": "rain"})).json()["data"]
    expected = load_embedder(model_folder, runtime="torch").embed_tags([["rain"]])[0]
    np.testing.assert_allclose(entry["embedding"], expected, atol=1e-4)


def test_uploads_are_tagged_classified_found_and_added(served: Server) -> None:
    sound = sounds.noise(3.0)
    assert len(answered(served.upload(sound)).json()["tags"]) == 10
    answered(served.upload(sound, "/v1/classify", labels="rain,dog"))
    answered(served.upload(sound, "/v1/search/audio"))
    clip = add(served, sound, title="Added", tags="added")
    answered(served.client.patch(f"/v1/clips/{clip['id']}", json={"title": "Renamed"}))


def test_a_library_is_curated(served: Server) -> None:
    client = served.client
    clips = [str(add(served, sounds.noise(0.3, 50 + seed))["id"]) for seed in range(6)]
    answered(client.post("/v1/collections", json={"name": "Some"}))
    place = answered(client.post("/v1/classifiers", json={"name": "Hum"})).headers["location"]
    labels = [{"clip": clip, "is": number % 2 == 0} for number, clip in enumerate(clips)]
    answered(client.post(f"{place}/labels", json={"labels": labels}))
    answered(client.get(f"{place}/hits"))
    answered(client.post("/v1/suggestions"))
    for path in ("/v1/facets", "/v1/library", "/v1/model", "/v1/models", "/v1/edits", "/metrics"):
        answered(client.get(path))
    until = time.monotonic() + MAP_SECONDS
    while client.get("/v1/map").status_code == 202:
        assert time.monotonic() < until
        time.sleep(0.1)
    answered(client.get("/v1/map"))


def test_a_job_adds_sounds(served: Server) -> None:
    files = [("file", (f"{seed}.wav", sounds.noise(0.3, 90 + seed))) for seed in range(2)]
    place = answered(served.client.post("/v1/jobs", files=files)).headers["location"]
    with served.client.stream("GET", f"{place}/events") as stream:
        assert stream.read()
    job = served.client.get(place).json()
    assert (job["state"], len(job["added"]), job["failed"]) == ("done", 2, [])


def test_the_command_line_and_the_demo(tmp_path: Path, without_torch: dict[str, str]) -> None:
    """In one process: starting them all takes long."""
    exported, sound = tmp_path / "starter", DEMO / "applause-1.ogg"
    export(starter_model(), exported)
    library = ("--library", tmp_path / "library")
    commands = [
        ("add", sound, *library, "--model", exported),
        ("search", "people clapping", *library, "--model", exported),
        ("tag", sound, "--model", exported),
        ("classify", sound, "--labels", "clapping,dog", "--model", exported),
        ("label", sound, "--model", exported),
        ("search", "steady rain", "--model", exported),  # of the demo
        ("tag", sound),
        ("evaluate", "zero-shot", "--data", tmp_path / "missing", "--model", exported),
        ("train", "--preset", "starter", "--data", "missing.csv", "--out", tmp_path / "run"),
    ]
    arguments = [[str(word) for word in command] for command in commands]
    code = f"from {COMMAND} import main; print([main(each) for each in {arguments}])"
    done = python("-c", code, **without_torch)
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 0, 2, 2, 1]", done
    assert "Steady rain" in done.stdout
    assert "earmark train: needs torch, which is not installed" in done.stderr
    assert "missing: cannot be read" in done.stderr  # by evaluate: that needs no torch
    assert "earmark export onnx --model" in done.stderr
    assert "No module named 'torch'" in python("-c", "import torch", **without_torch).stderr
