"""Texts over HTTP: kept in NFC whatever way they come in by, and compared by one key."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.library_service import LibraryService
from tests.index.made import new_clip, vector
from tests.service import sounds
from tests.service.library_edits import add, address, matching_ids
from tests.service.server_process import Server

FILE_NAME = "\u202eCafe\u0301\u200f_am\u200b-Morgen\ufeff.wav"
TEXTS = {"author": "Rene\u0301\u2060", "source": "To\u0308n-Archiv", "licence": "My-Licence\u200e"}
CLEAN = {"author": "René", "source": "Tön-Archiv", "licence": "My-Licence"}


def ids(server: Server, **parameters: object) -> set[str]:
    body = server.client.get("/v1/clips", params={"k": 100, **parameters}).json()
    return {clip["id"] for clip in body["clips"]}


@pytest.fixture(scope="module")
def clips(writable: Server) -> list[str]:
    """Ids of three clips: with composed tags, with others of the same key, with none of them."""
    first = add(
        writable, sounds.noise(0.3, seed=70), FILE_NAME, tags="Cafe\u0301 Querstraße", **TEXTS
    )
    assert first["tags"] == ["Café", "Querstraße"]
    assert {name: first[name] for name in CLEAN} == CLEAN
    assert first["title"] == "Café am Morgen"
    other = add(writable, sounds.noise(0.3, seed=71), tags="quokka-noon")
    edited = writable.client.patch(
        address(other["id"]),
        json={"tags": ["CAFE\u0301", "café", "QUERSTRASSE", "ra\u200bin"], **TEXTS},
    ).json()
    assert edited["tags"] == ["CAFÉ", "QUERSTRASSE", "rain"]
    assert {name: edited[name] for name in CLEAN} == CLEAN
    last = add(writable, sounds.noise(0.3, seed=72), tags="cafe", source="my-source")
    return [str(clip["id"]) for clip in (first, other, last)]


def test_filters_and_exclusions_compare_by_the_key(writable: Server, clips: list[str]) -> None:
    both, last = set(clips[:2]), clips[2]
    for tag in ("café", "cafe\u0301", "CAFÉ"):
        assert ids(writable, tag=tag) == ids(writable, any_tag=[tag, "no-such"]) == both
        assert both.isdisjoint(ids(writable, no_tag=tag))
        assert last in ids(writable, no_tag=tag)
        found = writable.client.get("/v1/search", params={"q": f"noise -{tag}", "k": 100}).json()
        assert both.isdisjoint(hit["id"] for hit in found["hits"])
    assert ids(writable, source="TO\u0308N-ARCHIV", licence="my-licence") == both
    for word in ("Querstraße", "QUERSTRASSE", "querstrasse"):
        assert set(matching_ids(writable, word)) == ids(writable, tag=word) == both


def test_statistics_count_by_the_key(writable: Server, clips: list[str]) -> None:
    assert clips
    body = writable.client.get("/v1/library", params={"tags": 10_000}).json()
    tags = {row["tag"]: row["count"] for row in body["tags"]}
    assert tags["café"] == 2
    assert {tag: count for tag, count in tags.items() if tag.startswith("quer")} == {
        "querstrasse": 2
    }
    sources = {row["source"]: row["count"] for row in body["sources"]}
    assert sources["Tön-Archiv"] == 2


def test_a_job_names_sounds_as_an_upload_does(writable: Server, clips: list[str]) -> None:
    data = {"tags": "Cafe\u0301, CAFÉ", **TEXTS}
    file = (FILE_NAME, sounds.noise(0.3, seed=73))
    response = writable.client.post("/v1/jobs", files={"file": file}, data=data)
    place = response.headers["location"]
    with writable.client.stream("GET", f"{place}/events") as stream:
        stream.read()
    [added] = writable.client.get(place).json()["added"]
    clip, first = (writable.client.get(address(each)).json() for each in (added, clips[0]))
    assert (clip["title"], clip["tags"]) == (first["title"], ["Café"])
    assert {name: clip[name] for name in CLEAN} == CLEAN
    assert writable.client.delete(address(added)).status_code == httpx.codes.NO_CONTENT


def test_feedback_is_kept_clean(tmp_path: Path, model_folder: Path) -> None:
    embedder = load_embedder(model_folder)
    with Library.open(tmp_path / "library", embedder, create=True) as library:
        with library.catalogue.write() as writer:
            clip = writer.put(new_clip("a", 1, id="e\u0301", vector=vector(1, embedder.dim)))
        service = LibraryService(library)
        given = service.feedback_on_clip("e\u0301", ["cafe\u0301", "CAFÉ"], ["ra\u200bin"], "")
    assert (given.clip, given.accepted, given.rejected) == (clip, ("café",), ("rain",))
