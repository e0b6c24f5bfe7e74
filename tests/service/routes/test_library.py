"""The library in figures, and what its map shares with that, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from tests.index import made
from tests.service import sounds as noises
from tests.service.conftest import MANIFEST
from tests.service.library_edits import add, address
from tests.service.server_process import Server, serving


@pytest.fixture
def broken(tmp_path: Path, model_folder: Path) -> Iterator[Server]:
    """A server of a library that could not take all it was given."""
    with Library.open(tmp_path / "library", load_embedder(model_folder), create=True) as library:
        (tmp_path / "notes.txt").write_text("no sound")
        bulk.add(library, [*made.write_sounds(tmp_path / "in", 2), tmp_path / "notes.txt"])
    with serving(
        tmp_path / "log", "--library", tmp_path / "library", "--model", model_folder
    ) as server:
        yield server


def test_what_it_holds(server: Server, library_folder: Path) -> None:
    body = server.client.get("/v1/library").json()
    assert (body["clips"], body["licences"]) == (6, [{"licence": "CC0-1.0", "count": 6}])
    assert body["seconds"] == pytest.approx(19, abs=0.1)
    assert body["sources"] == [{"source": "Field tapes", "count": 6}]
    counts = {tag["tag"]: tag["count"] for tag in body["tags"]}
    assert counts == dict.fromkeys(" ".join(tags for _, _, tags in MANIFEST).split(), 1)
    assert body["different"] == {"tags": len(counts), "licences": 1, "sources": 1}
    model = server.client.get("/v1/model").json()
    assert body["model"] == {name: model[name] for name in ("name", "fingerprint")}
    assert body["index"].startswith("flat, exact")
    assert body["failures"] == {"total": 0, "latest": []}
    assert body["missing"]["total"] == 1
    assert body["missing"]["first"][0]["name"] == "gone.wav"
    few = server.client.get("/v1/library?tags=2").json()
    assert few["tags"] == body["tags"][:2]
    assert few["different"] == body["different"]
    for bad in ("-1", "x", "10001"):
        problem = server.client.get("/v1/library", params={"tags": bad})
        server.problem(problem, 422, "tags")
    assert str(library_folder) not in json.dumps(body)


def test_failures_are_told_without_paths(broken: Server, tmp_path: Path) -> None:
    response = broken.client.get("/v1/library")
    failures = response.json()["failures"]
    assert failures["total"] == 1
    [failure] = failures["latest"]
    assert failure["name"] == "notes.txt"
    assert failure["reason"].startswith("not a sound this can read")
    for text in (response.text, broken.client.get("/v1/map").text):
        assert str(tmp_path) not in text
        assert tmp_path.name not in text


def test_sounds_without_a_file_are_told_without_paths(tmp_path: Path, model_folder: Path) -> None:
    files = made.write_sounds(tmp_path / "in", 3)
    arguments = ("--library", tmp_path / "library", "--model", model_folder)
    with Library.open(tmp_path / "library", load_embedder(model_folder), create=True) as library:
        [_, gone, _] = library.add(
            [made.embed_file(library.embedder, SourceFile(file)) for file in files]
        )
    files[1].unlink()
    with serving(tmp_path / "log", *arguments) as server:
        first = server.client.get("/v1/library")
        assert first.json()["missing"] == {
            "total": 1,
            "first": [{"id": gone, "title": "noise 001", "name": "noise_001.wav"}],
        }
        assert tmp_path.name not in first.text
        headers = {"If-None-Match": first.headers["etag"]}
        assert server.client.get("/v1/library", headers=headers).status_code == 304


@pytest.mark.parametrize("path", ["/v1/library", "/v1/library?tags=3", "/v1/map"])
def test_what_a_client_has_is_not_sent_again_until_it_changes(writable: Server, path: str) -> None:
    added = add(writable, noises.noise(1.0, seed=41), tags="first")
    first = writable.client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    headers = {"If-None-Match": first.headers["etag"]}
    again = writable.client.get(path, headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    writable.client.patch(address(added["id"]), json={"tags": ["second"], "title": "Another"})
    changed = writable.client.get(path, headers=headers)
    assert changed.status_code == 200
    assert "second" in changed.text or path.endswith("=3")
    writable.client.delete(address(added["id"]))
    assert writable.client.get(path, headers=headers).status_code == 200


def test_other_questions_have_other_tags(server: Server) -> None:
    tags = {server.client.get(f"/v1/library?tags={count}").headers["etag"] for count in (1, 2, 3)}
    assert len(tags) == 3


def test_writing_to_them_is_not_allowed(server: Server) -> None:
    for path in ("/v1/library", "/v1/map"):
        server.problem(server.client.post(path), 405)
        server.problem(server.client.delete(path), 405)


def test_reading_needs_a_key_where_others_do(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    from earmark.service.auth.api_keys import KeyFile

    key = KeyFile(tmp_path / "keys").add("reader", "read")
    settings = {"EARMARK_KEYS": str(tmp_path / "keys"), "EARMARK_REQUIRE_READ_KEY": "true"}
    arguments = ("--library", library_folder, "--model", model_folder)
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    with serving(tmp_path / "log", *arguments, **settings) as server:
        for path in ("/v1/library", "/v1/map"):
            server.problem(server.client.get(path, headers=elsewhere), 401)
            opened = server.client.get(path, headers={**elsewhere, "X-API-Key": key})
            assert opened.status_code == 200
