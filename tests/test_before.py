"""What an earlier version made opens as it did there: see tests/fixtures/before/README.md."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from earmark.index.library import Library
from earmark.index.stores import snapshot
from earmark.index.stores.snapshot import SnapshotError
from earmark.model.encoders.load import load_embedder
from earmark.service.auth.api_keys import KeyFile
from earmark.service.cli.main import main
from earmark.service.settings import read_settings
from earmark.training.loop.trainer import Trainer
from tests.conftest import ROOT
from tests.service.server_process import Server, serving
from tests.training.tiny import QUICK, tiny_corpus, tiny_model

FOLDER = ROOT / "tests" / "fixtures" / "before"
MODEL = FOLDER / "model"
EXPECTED: dict[str, Any] = json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))
ANSWERS: dict[str, dict[str, Any]] = EXPECTED["answers"]
SOUNDS = Path("/srv/earmark/sounds")  # where it was made; hardly on this machine
_MADE = {  # id → title and file name of the library's sounds that are not there
    "497b09a0ae75": ("Dog barking in a yard", "dog.flac"),
    "aed8258f81ef": ("Rain on a metal roof", "rain.flac"),
    "0a31c34d3760": ("Car engine", "car.flac"),
    "bell/№ 1?": ("Church bell", "bell.flac"),
    "d7a1b10c8a83": ("Waves for a long time", "long.flac"),
}
MISSING = {key: names for key, names in _MADE.items() if not (SOUNDS / names[1]).exists()}
ADDED: dict[str, dict[str, Any]] = {  # fields of answers since then
    "classify": {"notes": [], "taught": []},
    "library": {
        "missing": {
            "total": len(MISSING),
            "first": [
                {"id": clip_id, "title": title, "name": name}
                for clip_id, (title, name) in MISSING.items()
            ],
        }
    },
    "model": {"licence": "", "languages": [], "max_seconds": 600.0, "sentence_encoder": None},
    "search by description": {"ignored": []},  # the word was used: a description holds it
    "tags": {"damaged": 0.0, "taught": []},
}
# Fields of a clip in any answer.
ADDED_OF_CLIPS = {"damaged": 0.0, "recorded": "", "loudness": None, "category": ""}
ADDED_OF_HITS = {"probability": None, "confidence": None, "moments": []}
LONG = "Waves for a long time"  # 12 s: it is now found by its windows, too


def close_to(expected: Any) -> Any:
    """The same JSON with numbers that may differ by rounding."""
    if isinstance(expected, dict):
        return {key: close_to(value) for key, value in expected.items()}
    if isinstance(expected, list):
        return [close_to(value) for value in expected]
    return pytest.approx(expected, rel=1e-4, abs=1e-5) if isinstance(expected, float) else expected


def with_new_fields(answer: Any) -> Any:
    """The same JSON, its clips with the fields that they have by now."""
    if isinstance(answer, list):
        return [with_new_fields(value) for value in answer]
    if not isinstance(answer, dict):
        return answer
    fields = {key: with_new_fields(value) for key, value in answer.items()}
    if "sample_rate" in answer and "audio" in answer:
        fields |= ADDED_OF_CLIPS
    if "why" in answer:
        fields |= ADDED_OF_HITS
    return fields | {"sure": None} if "hits" in answer else fields


def take_long_sound(answer: Any) -> dict[str, Any] | None:
    """Take out of an answer what of the long sound's hit depends on its windows."""
    for hit in answer.get("hits", ()):
        if hit["title"] == LONG:
            return {name: hit.pop(name) for name in ("cosine", "start", "score", "moments")}
    return None


def at_its_new_place(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer's `generation` is one more: a library that was moved notes where its uploads lie
    when it is opened, which is a write."""
    moved = {"generation": answer["generation"] + 1} if "generation" in answer else {}
    return {**answer, **moved}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the library, elsewhere than where it was made."""
    return shutil.copytree(FOLDER / "library", tmp_path_factory.mktemp("before") / "library")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[Server]:
    """A server of that copy."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "--library", library, "--model", MODEL) as server:
        yield server
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "map"])
def test_http_answers_as_before(server: Server, name: str) -> None:
    call = ANSWERS[name]
    if "get" in call:
        response = server.client.get(call["get"], params=call["params"])
    else:
        sound = ("query.wav", (FOLDER / "query.wav").read_bytes())
        response = server.client.post(call["post"], data=call["data"], files={"file": sound})
    assert response.status_code == 200, response.text
    expected = with_new_fields(call["answer"]) | ADDED.get(name, {})
    answer = response.json()
    before, now = take_long_sound(expected), take_long_sound(answer)
    assert answer == close_to(at_its_new_place(expected))
    if before is not None and now is not None:
        best = now["moments"][0]
        assert now["cosine"] >= before["cosine"] - 1e-5
        assert best["start"] == now["start"] <= before["start"] < best["end"]


def test_feedback_is_exported_as_before(server: Server) -> None:
    assert server.client.get("/v1/feedback/manifest.csv").text == EXPECTED["manifest"]


def test_info_tells_the_same(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--library", str(library), "--model", str(MODEL), "--json"]) == 0
    expected = {**at_its_new_place(EXPECTED["info"]), "library": str(library)}
    expected["missing"] = {
        "total": len(MISSING),
        "first": [
            {"id": clip_id, "title": title, "path": str(SOUNDS / name)}
            for clip_id, (title, name) in MISSING.items()
        ],
    }
    expected |= {"damaged": {}, "index_megabytes": 0.001584}
    assert json.loads(capsys.readouterr().out) == close_to(expected)


def test_sounds_are_found_where_they_lie_now(tmp_path: Path) -> None:
    library = shutil.copytree(FOLDER / "library", tmp_path / "library")
    sounds = FOLDER / "sounds"
    assert main(["relocate", "/srv/earmark/sounds", str(sounds), "--library", str(library)]) == 0
    with Library.open(library, load_embedder(MODEL)) as opened:
        clips = opened.catalogue.clips()
    assert {clip.id for clip in clips} == {
        clip["id"] for clip in ANSWERS["clips"]["answer"]["clips"]
    }
    assert all(Path(clip.path).is_file() for clip in clips)
    assert {Path(clip.path).parent for clip in clips} == {sounds, library / "uploads"}


def test_an_old_snapshot_is_rebuilt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    library = shutil.copytree(FOLDER / "library", tmp_path / "library")
    file, embedder = library / "vectors.snapshot", load_embedder(MODEL)
    with pytest.raises(SnapshotError, match="of another version"):
        snapshot.read(file)
    hits = []
    for _ in range(2):
        with Library.open(library, embedder) as opened:
            hits.append([(hit.clip.id, hit.score) for hit in opened.search("dog bark").hits])
    assert hits[0]
    assert hits[0] == hits[1]
    assert [record.name for record in caplog.records if "building anew" in record.message] == [
        "earmark.index.stores.faiss.store"  # the first time only
    ]
    header, arrays = snapshot.read(file)
    expected = at_its_new_place(ANSWERS["library"]["answer"])
    assert header["generation"] == expected["generation"]
    assert len(arrays["recent.rows"]) == expected["clips"]


def test_the_command_suggests_the_same_tags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tag", str(FOLDER / "query.wav"), "--model", str(MODEL), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == close_to(EXPECTED["tag"] | ADDED["tags"])


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """Its history is that of a run of the earlier version that nothing stopped."""
    out = shutil.copytree(FOLDER / "run", tmp_path / "run")
    config = tiny_model("w2v-128-1h")
    recipe = replace(QUICK, epochs=4, schedule="cosine", warmup_epochs=1)
    recipe = replace(recipe, words="general")  # as it was made
    run = Trainer(config, recipe, tiny_corpus(config), out)
    run.resume()
    assert len(run.history) == 2
    run.fit()
    history = [{**epoch} for epoch in run.history]
    for epoch in history:
        epoch.pop("seconds")
    for found, expected in zip(history, EXPECTED["history"], strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_keys_let_the_same_clients_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = KeyFile(FOLDER / "keys")
    found = {name: keys.find(secret) for name, secret in EXPECTED["keys"].items()}
    assert {name: key and (key.name, key.scope) for name, key in found.items()} == {
        "archive": ("archive", "write"),
        "studio": ("studio", "read"),
        "guest": None,
    }
    monkeypatch.setenv("EARMARK_KEYS", str(FOLDER / "keys"))
    assert main(["keys", "list"]) == 0
    assert capsys.readouterr().out == EXPECTED["keys list"]


def test_settings_are_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EARMARK_")]:
        monkeypatch.delenv(name)
    defaults = json.loads(read_settings().model_dump_json())
    assert defaults.items() >= EXPECTED["default settings"].items()
    for line in (FOLDER / "settings.env").read_text().splitlines():
        monkeypatch.setenv(*line.split("=", 1))
    settings = json.loads(read_settings().model_dump_json())
    assert settings.items() >= EXPECTED["settings"].items()
    assert set(EXPECTED["settings"]) == set(EXPECTED["default settings"])
