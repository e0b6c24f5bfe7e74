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
    for malformed in ("bytes=9-5", "bytes=a-b", "lines=1-2"):
        response = server.client.get(address, headers={"Range": malformed})
        server.problem(response, 400, "expected bytes=FIRST-LAST")


def test_a_sound_whose_file_has_gone(server: Server) -> None:
    hit = clip(server, "file that goes away")
    assert hit["title"] == "A file that goes away"
    assert server.client.get(f"/v1/clips/{hit['id']}").status_code == 200
    server.problem(server.client.get(str(hit["audio"])), 410, "not there now")
