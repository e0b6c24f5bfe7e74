"""Compressed answers: which, for whom, and with which entity tags."""

from __future__ import annotations

import gzip
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earmark.service.middleware.compression import accepts_gzip
from tests.service import sounds
from tests.service.conftest import ODD_ID
from tests.service.server_process import Server

SEARCH = "/v1/search?q=bell+dog+rain&k=6"
CLIP = f"/v1/clips/{quote(ODD_ID, safe='')}"


def raw(server: Server, address: str, encoding: str = "gzip", **headers: str) -> httpx.Response:
    """An answer, and its body as it came in `extensions`."""
    sent = {"Accept-Encoding": encoding, **headers}
    with server.client.stream("GET", address, headers=sent) as answer:
        answer.extensions["raw"] = b"".join(answer.iter_raw())
    return answer


@pytest.mark.parametrize(
    "address",
    [
        *(SEARCH, "/v1/clips", "/metrics", "/openapi.json", "/", "/app.js"),
        *("/styles/base.css", "/static-offline-docs/swagger-ui.css", f"{CLIP}/similar"),
    ],
)
def test_long_texts_are_compressed_for_who_takes_it(server: Server, address: str) -> None:
    plain, small = raw(server, address, "identity"), raw(server, address)
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    body = small.extensions["raw"]
    assert int(small.headers["content-length"]) == len(body) < int(plain.headers["content-length"])
    if address != "/metrics":
        assert gzip.decompress(body) == plain.extensions["raw"]


def test_a_search_without_it_is_told_apart_by_caches(server: Server) -> None:
    assert server.client.get(SEARCH).headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("address", ["/healthz", "/problems/busy", CLIP, f"{CLIP}/audio"])
def test_sounds_and_short_answers_are_sent_as_they_are(server: Server, address: str) -> None:
    answer = raw(server, address)
    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers
    assert len(answer.extensions["raw"]) == int(answer.headers["content-length"])
    assert len(answer.extensions["raw"]) < 1_000 or "audio" in address


def test_events_are_not_held_back(writable: Server) -> None:
    begun = writable.client.post("/v1/jobs", files={"file": ("a.wav", sounds.noise(0.2, seed=91))})
    answer = raw(writable, begun.json()["events"])
    assert "content-encoding" not in answer.headers
    assert b"event: done" in answer.extensions["raw"]


def test_tags_of_both_forms_revalidate_either(server: Server) -> None:
    plain, small = (raw(server, SEARCH, kind).headers["etag"] for kind in ("identity", "gzip"))
    assert small == f"W/{plain}"
    for tag in (plain, small, f'"other", {small}'):
        for kind in ("identity", "gzip"):
            again = raw(server, SEARCH, kind, **{"If-None-Match": tag})
            assert (again.status_code, again.extensions["raw"]) == (304, b"")
            assert again.headers["etag"] == (plain if tag == plain else small)
            assert ("vary" in again.headers) is (tag != plain)


def test_a_compressed_clip_can_be_changed_on_condition(writable: Server) -> None:
    sent = {"title": "Long", "description": "word " * 400}
    files = {"file": ("a.wav", sounds.noise(0.2, seed=92))}
    place = writable.client.post("/v1/clips", files=files, data=sent).headers["location"]
    tag = raw(writable, place).headers["etag"]
    assert tag.startswith("W/")
    for expected in (200, 412):
        edited = writable.client.patch(place, json={"title": "New"}, headers={"If-Match": tag})
        assert edited.status_code == expected


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        *(("gzip", True), ("GZIP", True), ("x-gzip", True), ("*", True), ("br, gzip;q=0.1", True)),
        *(("deflate, gzip;q=1.0, *;q=0.5", True), ("gzip;q=0, *", False), ("gzip;q=0.000", False)),
        *(("", False), ("br", False), ("*;q=0", False), ("identity", False), ("notgzip", False)),
    ],
)
def test_who_takes_gzip(header: str, takes: bool) -> None:
    assert accepts_gzip(header.encode()) is takes


@given(st.binary(max_size=50))
def test_no_header_breaks_it(header: bytes) -> None:
    assert accepts_gzip(header) in (True, False)
