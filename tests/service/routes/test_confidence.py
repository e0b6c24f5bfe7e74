"""How sure hits are, over a real server: fields of answers, and the least probability."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.conftest import MANIFEST
from tests.service.server_process import Server, serving


@pytest.fixture(scope="module")
def judging(
    tmp_path_factory: pytest.TempPathFactory, judging_model: Path, library_folder: Path
) -> Iterator[Server]:
    """A server of the library, whose model says how probable hits are."""
    log = tmp_path_factory.mktemp("judging") / "log"
    with serving(log, "--library", library_folder, "--model", judging_model) as server:
        yield server
        assert "Traceback" not in log.read_text()


def asked(server: Server, kind: str, sounds: Path, least: float | str = 0) -> httpx.Response:
    """One of the four searches, with a least probability."""
    query = {"k": "10", "min_probability": str(least)}
    if kind == "words":
        return server.client.get("/v1/search", params={"q": "dog", **query})
    if kind == "body":
        body = {"q": "dog", "min_probability": least}
        return server.client.post("/v1/search", json=body)
    if kind == "similar":
        clip = server.client.get("/v1/search?q=rain&k=1").json()["hits"][0]["id"]
        return server.client.get(f"/v1/clips/{clip}/similar", params=query)
    files = {"file": (sounds / "dog.wav").read_bytes()}
    return server.client.post("/v1/search/audio", params=query, files=files)


KINDS = ("words", "body", "similar", "audio")


@pytest.mark.parametrize("kind", KINDS)
def test_hits_say_how_sure_they_are_and_a_least_probability_holds(
    judging: Server, sounds: Path, kind: str
) -> None:
    body: dict[str, Any] = asked(judging, kind, sounds).json()
    assert len(body["hits"]) == len(MANIFEST) - (kind == "similar")
    said = {hit["id"]: hit["probability"] for hit in body["hits"]}
    for hit in body["hits"]:
        word = "sure" if hit["probability"] >= 0.5 else "maybe"
        assert hit["confidence"] == (word if hit["probability"] >= 0.05 else "unlikely")
    assert body["sure"] == sum(probability >= 0.5 for probability in said.values())
    assert len({hit["confidence"] for hit in body["hits"]}) > 1
    least = sorted(said.values())[2]
    fewer = asked(judging, kind, sounds, least).json()
    assert {hit["id"] for hit in fewer["hits"]} == {
        clip for clip, probability in said.items() if probability >= least
    }
    assert fewer["sure"] == body["sure"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("least", [-0.1, 1.1, "nan", "half"])
def test_a_bad_least_probability_is_named(
    server: Server, sounds: Path, kind: str, least: float | str
) -> None:
    response = asked(server, kind, sounds, least)
    assert response.status_code == 422
    assert "min_probability: " in response.json()["detail"]


def test_a_model_that_does_not_tell_says_null_and_leaves_nothing_out(
    server: Server, sounds: Path
) -> None:
    for kind in KINDS:
        body = asked(server, kind, sounds, 0.9).json()
        assert len(body["hits"]) >= 5
        assert body["sure"] is None
        assert {(hit["probability"], hit["confidence"]) for hit in body["hits"]} == {(None, None)}


def test_each_least_probability_has_its_own_answer(judging: Server) -> None:
    first = judging.client.get("/v1/search?q=dog&fields=probability")
    assert all(hit.keys() == {"probability"} for hit in first.json()["hits"])
    other = judging.client.get(
        "/v1/search?q=dog&fields=probability&min_probability=0.9",
        headers={"If-None-Match": first.headers["etag"]},
    )
    assert other.status_code == 200
    paged = judging.client.get("/v1/search?q=dog&k=2&min_probability=0.001").json()
    assert paged["next"]
    query = {"q": "dog", "k": 2, "cursor": paged["next"]}
    again = judging.client.get("/v1/search", params=query)
    assert again.status_code == 422
    assert "another query's" in again.json()["detail"]
