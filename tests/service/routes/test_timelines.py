"""What is heard in a clip, over HTTP: lanes, files of labels, what is refused or unchanged."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.service.conftest import ODD_ID
from tests.service.routes.test_clips import clip
from tests.service.server_process import Server

CLIP = f"/v1/clips/{quote(ODD_ID, safe='')}"
BELL = f"{CLIP}/timeline"
MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "audacity": "text/plain; charset=utf-8",
    "raven": "text/tab-separated-values; charset=utf-8",
}
FILE_NAMES = {
    "json": "Church bell.json",
    "csv": "Church bell.csv",
    "audacity": "Church bell.txt",
    "raven": "Church bell.selections.txt",
}


def test_lanes_of_the_tags_asked_for(server: Server) -> None:
    address = f"/v1/clips/{clip(server, 'waves')['id']}/timeline"
    body = server.client.get(address, params={"tags": ["sea, dog", "wave"]}).json()
    assert set(body) == {"duration", "damaged", "tags", "ignored", "notes"}
    assert body["duration"] == pytest.approx(14.0)
    assert [lane["tag"] for lane in body["tags"]] == ["sea", "dog", "wave"]
    for lane in body["tags"]:
        for event in lane["events"]:
            assert set(event) == {"start", "end", "score"}
            assert 0 <= event["start"] < event["end"] <= 14.0
            assert 0 <= event["score"] <= 1
    assert server.client.get(address, params={"tags": "sea,dog,wave"}).json() == body


def test_suggested_lanes(server: Server) -> None:
    body = server.client.get(BELL).json()
    assert body["tags"]
    assert server.client.get(BELL, params={"tags": " , "}).json() == body


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_files_of_labels(server: Server, kind: str) -> None:
    response = server.client.get(BELL, params={"tags": "bell", "format": kind})
    assert response.status_code == 200
    assert response.headers["content-type"] == MEDIA_TYPES[kind]
    assert response.headers["content-disposition"] == f'inline; filename="{FILE_NAMES[kind]}"'
    tag = response.headers["etag"]
    again = server.client.get(
        BELL, params={"tags": "bell", "format": kind}, headers={"If-None-Match": tag}
    )
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    others = [{"tags": "dog", "format": kind}, {"format": kind}]
    for other in others:
        assert server.client.get(BELL, params=other).headers["etag"] != tag


def test_a_hostile_label_is_text(server: Server) -> None:
    label = "=bell\t\n2\t3\tdog"
    lines = {}
    for kind in ("csv", "audacity", "raven"):
        response = server.client.get(BELL, params={"tags": label, "format": kind})
        assert response.status_code == 200, response.text
        lines[kind] = response.text.splitlines()
    assert all(line.split(",")[2] == "'=bell 2 3 dog" for line in lines["csv"][1:])
    assert all(line.split("\t")[2:] == ["=bell 2 3 dog"] for line in lines["audacity"])
    assert all(line.count("\t") == 8 for line in lines["raven"])


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        ({"tags": "!?"}, "tags: not understood: '!?'"),
        ({"tags": "x" * 101}, "tags: expected at most 100 letters"),
        ({"tags": ",".join(map(str, range(51)))}, "tags: expected at most 50"),
        ({"tags": ["dog"] * 51}, "at most 50"),
        ({"tags": "dog," * 200}, "at most 500"),
        ({"format": "xml"}, "format"),
    ],
)
def test_what_is_refused(server: Server, params: dict[str, object], detail: str) -> None:
    server.problem(server.client.get(BELL, params=params), 422, detail)


def test_clips_that_are_not_there(server: Server) -> None:
    server.problem(server.client.get("/v1/clips/nothing/timeline"), 404)
    gone = clip(server, "goes away")["id"]
    server.problem(server.client.get(f"/v1/clips/{gone}/timeline"), 410)


@pytest.mark.parametrize("way", ["PATCH", "DELETE"])
def test_it_is_read_only(server: Server, way: str) -> None:
    server.problem(server.client.request(way, BELL), 405)


def test_tags_and_labels_of_a_clip_are_those_of_its_sound(server: Server) -> None:
    sound = server.client.get(f"{CLIP}/audio").content
    heard, kept = (
        answer.json()
        for answer in (server.upload(sound), server.client.get(f"{CLIP}/tags", params={"k": 10}))
    )
    for mine, theirs in zip(kept["tags"], heard["tags"], strict=True):
        assert (mine["tag"], mine["suggested"]) == (theirs["tag"], theirs["suggested"])
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-5)
    assert (kept["duration"], kept["damaged"]) == (heard["duration"], heard["damaged"])
    labels = {"labels": ["dog,bell", "rain"]}
    classes = server.client.get(f"{CLIP}/classify", params=labels).json()["classes"]
    by_sound = server.upload(sound, "/v1/classify", **labels).json()["classes"]
    assert [each["label"] for each in classes] == [each["label"] for each in by_sound]
    assert sum(each["probability"] for each in classes) == pytest.approx(1)


def test_tags_of_a_long_clip_have_windows(server: Server) -> None:
    long = f"/v1/clips/{clip(server, 'waves')['id']}"
    windows = server.client.get(f"{long}/tags", params={"k": 1}).json()["tags"][0]["windows"]
    assert windows
    assert all(0 <= each["start"] < each["end"] <= 14 for each in windows)


@pytest.mark.parametrize(
    ("address", "status", "says"),
    [
        ("/v1/clips/nothing/tags", 404, "no clip 'nothing'"),
        ("/v1/clips/nothing/classify?labels=a,b", 404, "no clip 'nothing'"),
        (f"{CLIP}/tags?k=0", 422, "k: "),
        (f"{CLIP}/classify", 422, "labels: "),
        (f"{CLIP}/classify?labels=dog", 422, "labels: expected 2"),
        (f"{CLIP}/classify?labels=,", 422, "labels: "),
    ],
)
def test_what_has_no_tags_or_labels(server: Server, address: str, status: int, says: str) -> None:
    server.problem(server.client.get(address), status, says)
    for method in ("PATCH", "DELETE"):
        path = address.partition("?")[0]
        server.problem(server.client.request(method, path, json={}), 405)
