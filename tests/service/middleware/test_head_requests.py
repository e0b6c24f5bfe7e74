"""HEAD, wherever GET is: the same head and no body."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.service import sounds
from tests.service.conftest import ODD_ID
from tests.service.server_process import Server

OWN = {"date", "x-request-id"}  # of each answer
FILES = (
    "/",
    "/app.js",
    "/icon.svg",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/static-offline-docs/favicon.png",
)
CLIP = f"/v1/clips/{quote(ODD_ID, safe='')}"
# Templates of the document → addresses that exist.
ADDRESSES = {
    "/v1/search": "/v1/search?q=bell",
    "/v1/clips/{clip_id}": CLIP,
    "/v1/clips/{clip_id}/audio": f"{CLIP}/audio",
    "/v1/clips/{clip_id}/waveform": f"{CLIP}/waveform",
    "/v1/clips/{clip_id}/spectrogram": f"{CLIP}/spectrogram",
    "/v1/clips/{clip_id}/timeline": f"{CLIP}/timeline",
    "/v1/clips/{clip_id}/tags": f"{CLIP}/tags",
    "/v1/clips/{clip_id}/classify": f"{CLIP}/classify?labels=dog,rain",
    "/v1/clips/{clip_id}/similar": f"{CLIP}/similar",
    "/v1/clips/{clip_id}/history": f"{CLIP}/history",
    "/v1/collections/{collection_id}": "/v1/collections/favourites",
    "/v1/collections/{collection_id}/clips": "/v1/collections/favourites/clips",
    "/v1/collections/{collection_id}/export": "/v1/collections/favourites/export?format=csv",
    **{
        f"/v1/classifiers/{{classifier_id}}{part}": f"/v1/classifiers/bell{part}"
        for part in ("", "/labels", "/hits", "/ask", "/export")
    },
    "/v1/models/{model_id}": "/v1/models/earmark",
    "/problems/{name}": "/problems/busy",
}
OF_JOBS = {"/v1/jobs/{job_id}", "/v1/jobs/{job_id}/events"}


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_the_head_is_that_of_get(server: Server, encoding: str) -> None:
    server.client.post("/v1/classifiers", json={"name": "bell"})
    paths = server.client.get("/openapi.json").json()["paths"]
    templates = [path for path, calls in paths.items() if "get" in calls]
    assert len(templates) > 10
    for path in (*templates, *FILES):
        if path in OF_JOBS:
            continue
        address = ADDRESSES.get(path, path)
        asked = {"Accept-Encoding": encoding}
        head, whole = (
            server.client.request(way, address, headers=asked) for way in ("HEAD", "GET")
        )
        assert (head.status_code, head.content) == (200, b""), address
        if path in ("/metrics", "/v1/map"):  # of another length each time
            continue
        assert _of(head.headers) == _of(whole.headers), address


def _of(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name not in OWN}


def test_a_head_reads_no_range_and_keeps_conditions(server: Server) -> None:
    whole = server.client.head(f"{CLIP}/audio", headers={"Range": "bytes=0-9"})
    assert whole.status_code == 200
    assert int(whole.headers["content-length"]) > 10
    same = {"If-None-Match": whole.headers["etag"]}
    assert server.client.head(f"{CLIP}/audio", headers=same).status_code == 304


def test_errors_and_refusals_have_no_body_either(server: Server) -> None:
    for address, status in (("/v1/clips/no", 404), ("/nothing", 404), ("/v1/search", 422)):
        answer = server.client.head(address)
        assert (answer.status_code, answer.content) == (status, b"")
    answer = server.client.head("/v1/tags")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/search", "GET, HEAD, POST"),
        ("/v1/clips/some-id", "GET, HEAD, PATCH, DELETE"),
        ("/v1/clips/some-id/audio", "GET, HEAD"),
        ("/v1/tags", "POST"),
        ("/metrics", "GET, HEAD"),
        ("/docs", "GET, HEAD"),
        ("/app.js", "GET, HEAD"),
    ],
)
def test_a_refusal_lists_the_methods_that_there_are(
    server: Server, path: str, allowed: str
) -> None:
    refused = server.client.put(path)
    server.problem(refused, 405)
    assert refused.headers["allow"] == allowed


def test_events_of_a_job_end_with_their_head(writable: Server) -> None:
    begun = writable.client.post("/v1/jobs", files={"file": ("a.wav", sounds.noise(0.2, seed=90))})
    events = begun.json()["events"]
    for _ in range(2):  # over the same connection
        answer = writable.client.head(events)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
    assert writable.client.head("/v1/jobs/nothing/events").status_code == 404
    assert "event: done" in writable.client.get(events).text


def test_it_is_logged_and_counted_as_what_it_is(server: Server) -> None:
    server.client.head("/v1/model")
    figures = server.client.get("/metrics").text
    assert 'earmark_http_requests_total{method="HEAD",route="/v1/model",status="200"}' in figures
