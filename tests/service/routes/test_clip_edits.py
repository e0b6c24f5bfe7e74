"""The library over HTTP, live: upload, list, change, remove; what clients have; waveforms."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from earmark.model.audio.waveform import peaks
from tests.model import tiny
from tests.service import sounds
from tests.service.library_edits import add, address, found, tree
from tests.service.server_process import Server


def test_an_upload_is_found_at_once_by_words_and_by_sound(
    shelf: Server, shelf_folder: Path
) -> None:
    sound = sounds.noise(1.0, seed=1)
    body = add(
        shelf,
        sound,
        title="  Gravel\n crunching ",
        tags="gravel, foot step",
        author="Ann",
        source="Tapes",
        licence="CC0-1.0",
        description="On a path\nby night",
    )
    assert (body["title"], body["tags"]) == ("Gravel crunching", ["gravel", "foot", "step"])
    assert (body["author"], body["source"], body["licence"]) == ("Ann", "Tapes", "CC0-1.0")
    assert (body["description"], body["twin"]) == ("On a path\nby night", None)
    assert body["duration"] == pytest.approx(1.0)
    assert found(shelf, "gravel") == [body["id"]]
    again = shelf.client.get(address(body["id"]))
    assert again.json() == {name: body[name] for name in body if name != "twin"}
    assert shelf.client.get(str(body["audio"])).content == sound
    alike = shelf.client.get(f"{address(body['id'])}/audio")
    assert alike.headers["content-type"] == "audio/wav"
    assert str(shelf_folder) not in str(body)


def test_tags_repeated_are_each_a_list(shelf: Server) -> None:
    body = add(shelf, sounds.noise(0.3, seed=2), tags=["a b", "c;d", "a"])
    assert body["tags"] == ["a", "b", "c", "d"]


def test_the_same_sound_twice_is_added_and_said(shelf: Server) -> None:
    first, second = (add(shelf, sounds.noise(0.4, seed=3)) for _ in range(2))
    assert (first["twin"], second["twin"]) == (None, first["id"])
    assert first["id"] != second["id"]


def test_retagged_it_is_found_by_that_and_no_more_by_what_was(shelf: Server) -> None:
    clip = add(shelf, sounds.noise(0.3, seed=4), title="Take 7", tags="zither")
    assert found(shelf, "zither") == [clip["id"]]
    response = shelf.client.patch(address(clip["id"]), json={"tags": ["steel drum", "Loud"]})
    assert response.status_code == 200
    assert response.json()["tags"] == ["steel-drum", "Loud"]
    assert response.json()["title"] == "Take 7"
    assert found(shelf, "zither") == []
    assert found(shelf, "steel drum") == [clip["id"]]
    emptied = shelf.client.patch(
        address(clip["id"]), json={"tags": [], "title": "", "description": "by hand"}
    ).json()
    assert (emptied["tags"], emptied["title"], emptied["description"]) == ([], "", "by hand")
    assert found(shelf, "steel drum") == []


@pytest.mark.parametrize(
    "body",
    [
        {"tags": "rain"},
        {"tags": [1]},
        {"tags": None},
        {"tags": ["x" * 201]},
        {"tags": [str(number) for number in range(1_001)]},
        {"title": None},
        {"title": ["a"]},
        {"title": "x" * 1_001},
        {"id": "other"},
        {"path": "/etc/passwd"},
        {"title": "a", "audio": "x"},
        [],
        "title",
        None,
        7,
    ],
)
def test_changes_that_are_none_change_nothing(shelf: Server, body: object) -> None:
    clip = add(shelf, sounds.noise(0.3, seed=5), title="Kept", tags="kept")
    shelf.problem(shelf.client.patch(address(clip["id"]), json=body), 422)
    assert shelf.client.get(address(clip["id"])).json()["title"] == "Kept"


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"title": "\\ud800"}', b"\xff\xfe", b"[" * 100_000, b'{"title": NaN}']
)
def test_changes_that_are_no_json(shelf: Server, content: bytes) -> None:
    clip = add(shelf, sounds.noise(0.3, seed=5), title="Kept")
    response = shelf.client.patch(
        address(clip["id"]), content=content, headers={"content-type": "application/json"}
    )
    if response.status_code != 200:  # a lone surrogate may be left out
        shelf.problem(response, response.status_code)
        assert response.status_code in {400, 422}
    assert shelf.client.get(address(clip["id"])).status_code == 200


def test_removed_it_is_gone_with_its_file(shelf: Server, shelf_folder: Path) -> None:
    before = tree(shelf_folder)
    clip = add(shelf, sounds.noise(0.3, seed=6), tags="ephemeral")
    assert len(tree(shelf_folder)) == len(before) + 1
    response = shelf.client.delete(address(clip["id"]))
    assert (response.status_code, response.content) == (204, b"")
    assert found(shelf, "ephemeral") == []
    assert tree(shelf_folder) == before
    for path in (address(clip["id"]), str(clip["audio"])):
        shelf.problem(shelf.client.get(path), 404, "no clip")
    for late in (shelf.client.delete, lambda path: shelf.client.patch(path, json={"title": "x"})):
        shelf.problem(late(address(clip["id"])), 404, "no clip")


def test_all_clips_page_by_page(shelf: Server) -> None:
    ids = [add(shelf, sounds.noise(0.3, seed=10 + n), tags="paged")["id"] for n in range(5)]
    for sort, expected in (("newest", ids[::-1]), ("id", sorted(ids, key=str))):
        listed, cursor = [], ""
        while cursor is not None:
            asked = {"k": 2, "tag": "paged", "sort": sort, "cursor": cursor}
            page = shelf.client.get("/v1/clips", params=asked).json()
            assert page["total"] == 5
            listed += [clip["id"] for clip in page["clips"]]
            cursor = page["next"]
        assert listed == expected
    assert shelf.client.get("/v1/clips").json()["total"] >= 5
    for wrong in ("k=0", "sort=size", "cursor=x", "min_duration=5&max_duration=1", "k=101"):
        shelf.problem(shelf.client.get(f"/v1/clips?{wrong}"), 422)


def test_what_the_client_has_is_not_sent_again(shelf: Server) -> None:
    clip = add(shelf, sounds.noise(0.3, seed=20), title="Same")
    for path in (address(clip["id"]), str(clip["audio"]), f"{address(clip['id'])}/waveform"):
        first = shelf.client.get(path)
        tag = first.headers["etag"]
        assert first.status_code == 200
        for has in (tag, f'"x", W/{tag}', "*"):
            again = shelf.client.get(path, headers={"If-None-Match": has})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        assert shelf.client.get(path, headers={"If-None-Match": '"x"'}).content == first.content
    ranged = {
        "Range": "bytes=0-9",
        "If-Range": shelf.client.get(str(clip["audio"])).headers["etag"],
    }
    assert shelf.client.get(str(clip["audio"]), headers=ranged).status_code == 206
    other = {"Range": "bytes=0-9", "If-Range": '"x"'}
    assert shelf.client.get(str(clip["audio"]), headers=other).status_code == 200


def test_changes_to_what_the_client_has_not_read_are_refused(shelf: Server) -> None:
    clip = add(shelf, sounds.noise(0.3, seed=21), title="Mine")
    place = address(clip["id"])
    read = shelf.client.get(place).headers["etag"]
    edited = shelf.client.patch(place, json={"title": "Yours"}, headers={"If-Match": read})
    assert edited.status_code == 200
    assert edited.headers["etag"] == shelf.client.get(place).headers["etag"] != read
    late = shelf.client.patch(place, json={"title": "Mine"}, headers={"If-Match": read})
    shelf.problem(late, 412, "has changed since")
    shelf.problem(shelf.client.delete(place, headers={"If-Match": read}), 412)
    assert shelf.client.get(place).json()["title"] == "Yours"
    now = {"If-Match": edited.headers["etag"]}
    assert shelf.client.delete(place, headers=now).status_code == 204


def test_a_waveform_is_that_of_the_sound(shelf: Server) -> None:
    samples = tiny.noise(1.5, 8_000, seed=22)
    clip = add(shelf, sounds.encoded(samples, 8_000))
    place = f"{address(clip['id'])}/waveform"
    body = shelf.client.get(place, params={"points": 50}).json()
    assert body.keys() == {"peaks", "duration"}
    assert body["duration"] == pytest.approx(1.5)
    stored, _ = soundfile.read(io.BytesIO(sounds.encoded(samples, 8_000)), dtype="float32")
    np.testing.assert_array_equal(body["peaks"], peaks([stored], 50))
    assert len(shelf.client.get(place).json()["peaks"]) == 400
    for wrong in (0, -1, 4_001, "many"):
        shelf.problem(shelf.client.get(place, params={"points": wrong}), 422, "points")
    shelf.problem(shelf.client.get("/v1/clips/nothing/waveform"), 404)


def test_many_write_at_once_and_nothing_is_lost(shelf: Server, shelf_folder: Path) -> None:
    def one(number: int) -> str:
        with httpx.Client(base_url=shelf.client.base_url, timeout=60) as client:
            files = {"file": ("a.wav", sounds.noise(0.3, seed=50 + number))}
            added = client.post("/v1/clips", files=files, data={"tags": "crowd"}).json()
            client.patch(address(added["id"]), json={"tags": ["crowd", f"number{number}"]})
            if number % 2:
                assert client.delete(address(added["id"])).status_code == 204
            return str(added["id"])

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, range(8)))
    listed = shelf.client.get("/v1/clips", params={"tag": "crowd", "k": 100}).json()
    assert {clip["id"] for clip in listed["clips"]} == set(ids[::2])
    assert len(found(shelf, "crowd")) == 4
