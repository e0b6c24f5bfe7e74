"""A clip of the library over HTTP: what is known of it, and its sound, whole or in parts."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.service.conftest import ODD_ID
from tests.service.server_process import Server


def clip(server: Server, words: str) -> dict[str, object]:
    found: dict[str, object] = server.client.get("/v1/search", params={"q": words}).json()["hits"][
        0
    ]
    return found


def test_a_clip_by_its_id(server: Server) -> None:
    hit = clip(server, "church bell")
    assert (hit["id"], hit["description"]) == (ODD_ID, "Heard at noon")
    body = server.client.get(f"/v1/clips/{quote(ODD_ID, safe='')}").json()
    assert body == {name: hit[name] for name in body}
    assert body["title"] == "Church bell"
    assert body["duration"] == pytest.approx(1.0)
    assert body["added_at"].endswith("+00:00")


@pytest.mark.parametrize("name", ["nothing", "%00", "..%2F..%2Fetc", "x" * 2000, "%F0%9F%90%95"])
def test_an_unknown_clip(server: Server, name: str) -> None:
    for path in (f"/v1/clips/{name}", f"/v1/clips/{name}/audio"):
        server.problem(server.client.get(path), 404)


def test_the_sound_itself(server: Server, sounds: Path) -> None:
    response = server.client.get(str(clip(server, "church bell")["audio"]))
    assert response.status_code == 200
    assert response.content == (sounds / "bell.wav").read_bytes()
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_parts_of_the_sound(server: Server, sounds: Path) -> None:
    address = str(clip(server, "church bell")["audio"])
    data = (sounds / "bell.wav").read_bytes()
    for wanted_range, part in (
        ("0-99", slice(0, 100)),
        ("100-", slice(100, None)),
        ("-50", slice(-50, None)),
        ("5-999999999", slice(5, None)),
    ):
        response = server.client.get(address, headers={"Range": f"bytes={wanted_range}"})
        first, last = part.indices(len(data))[0], part.indices(len(data))[1] - 1
        assert response.status_code == 206
        assert response.headers["content-range"] == f"bytes {first}-{last}/{len(data)}"
        assert response.content == data[part]


def test_parts_that_are_not_there(server: Server, sounds: Path) -> None:
    address = str(clip(server, "church bell")["audio"])
    size = (sounds / "bell.wav").stat().st_size
    response = server.client.get(address, headers={"Range": f"bytes={size}-"})
    server.problem(response, 416, f"the sound has {size} bytes")
    assert response.headers["content-range"] == f"bytes */{size}"
    some = server.client.get(address, headers={"Range": f"bytes={size}-, 0-9"})
    assert (some.status_code, some.headers["content-range"]) == (206, f"bytes 0-9/{size}")


@pytest.mark.parametrize(
    "malformed", ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes", "", "bytes=-", "bytes=0-1,x"]
)
def test_a_malformed_range_is_ignored(server: Server, sounds: Path, malformed: str) -> None:
    address = str(clip(server, "church bell")["audio"])
    response = server.client.get(address, headers={"Range": malformed})
    assert (response.status_code, response.content) == (200, (sounds / "bell.wav").read_bytes())


def test_several_parts_at_once(server: Server, sounds: Path) -> None:
    address = str(clip(server, "church bell")["audio"])
    response = server.client.get(address, headers={"Range": "bytes=0-3, 8-11"})
    assert response.status_code == 206
    assert response.headers["content-type"].startswith("multipart/byteranges; boundary=")
    data = (sounds / "bell.wav").read_bytes()
    assert b"\r\n\r\n" + data[:4] + b"\r\n--" in response.content
    assert b"\r\n\r\n" + data[8:12] + b"\r\n--" in response.content


def test_a_part_of_another_state_is_the_whole(server: Server) -> None:
    address = str(clip(server, "church bell")["audio"])
    first = server.client.get(address)
    states = (
        (first.headers["etag"], 206),
        (first.headers["last-modified"], 206),
        (f"W/{first.headers['etag']}", 200),
        ('"other"', 200),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        ("yesterday", 200),
    )
    for state, status in states:
        for wanted in ("bytes=0-9", "bytes=99999999-"):
            sent = {"Range": wanted, "If-Range": state}
            expected = 416 if status == 206 and wanted != "bytes=0-9" else status
            assert server.client.get(address, headers=sent).status_code == expected


def test_a_sound_that_has_not_changed_since(server: Server) -> None:
    address = str(clip(server, "church bell")["audio"])
    first = server.client.get(address)
    changed = first.headers["last-modified"]
    dates = (
        (changed, 304),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("Friday, 01-Jan-99 00:00:00 GMT", 200),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 200),
        *((odd, 200) for odd in ("yesterday", "", "0", "Mon, 99 Foo 2001 99:99:99 GMT")),
    )
    for date, status in dates:
        answer = server.client.get(address, headers={"If-Modified-Since": date})
        assert answer.status_code == status, date
        assert (answer.headers["etag"], answer.headers["last-modified"]) == (
            first.headers["etag"], changed,
        )  # fmt: skip
    # An ETag says more than a date.
    sent = {"If-Modified-Since": changed, "If-None-Match": '"other"'}
    assert server.client.get(address, headers=sent).status_code == 200
    sent = {"If-Modified-Since": "yesterday", "If-None-Match": first.headers["etag"]}
    assert server.client.get(address, headers=sent).status_code == 304


def test_a_sound_is_saved_under_its_title(server: Server) -> None:
    response = server.client.get(str(clip(server, "church bell")["audio"]))
    assert response.headers["content-disposition"] == 'inline; filename="Church bell.wav"'


def test_a_sound_whose_file_has_gone(server: Server) -> None:
    hit = clip(server, "file that goes away")
    assert hit["title"] == "A file that goes away"
    assert server.client.get(f"/v1/clips/{hit['id']}").status_code == 200
    server.problem(server.client.get(str(hit["audio"])), 410, "not there now")
