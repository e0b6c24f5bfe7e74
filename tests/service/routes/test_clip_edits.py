"""The library over HTTP, live: upload, list, change, remove; what clients have; waveforms."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from earmark.model.drawing.waveform import peaks
from tests.model import tiny
from tests.service import sounds
from tests.service.library_edits import add, address, matching_ids, tree
from tests.service.server_process import Server


def test_an_upload_is_found_at_once_by_words_and_by_sound(
    writable: Server, writable_folder: Path
) -> None:
    sound = sounds.noise(1.0, seed=1)
    body = add(
        writable,
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
    assert matching_ids(writable, "gravel") == [body["id"]]
    again = writable.client.get(address(body["id"]))
    assert again.json() == {name: body[name] for name in body if name != "twin"}
    assert writable.client.get(str(body["audio"])).content == sound
    alike = writable.client.get(f"{address(body['id'])}/audio")
    assert alike.headers["content-type"] == "audio/wav"
    assert str(writable_folder) not in str(body)


def test_tags_repeated_are_each_a_list(writable: Server) -> None:
    body = add(writable, sounds.noise(0.3, seed=2), tags=["a b", "c;d", "a"])
    assert body["tags"] == ["a", "b", "c", "d"]


def test_the_same_sound_twice_is_added_and_said(writable: Server) -> None:
    first, second = (add(writable, sounds.noise(0.4, seed=3)) for _ in range(2))
    assert (first["twin"], second["twin"]) == (None, first["id"])
    assert first["id"] != second["id"]


def test_retagged_it_is_found_by_that_and_no_more_by_what_was(writable: Server) -> None:
    clip = add(writable, sounds.noise(0.3, seed=4), title="Take 7", tags="zither")
    assert matching_ids(writable, "zither") == [clip["id"]]
    response = writable.client.patch(address(clip["id"]), json={"tags": ["steel drum", "Loud"]})
    assert response.status_code == 200
    assert response.json()["tags"] == ["steel-drum", "Loud"]
    assert response.json()["title"] == "Take 7"
    assert matching_ids(writable, "zither") == []
    assert matching_ids(writable, "steel drum") == [clip["id"]]
    emptied = writable.client.patch(
        address(clip["id"]), json={"tags": [], "title": "", "description": "by hand"}
    ).json()
    assert (emptied["tags"], emptied["title"], emptied["description"]) == ([], "", "by hand")
    assert matching_ids(writable, "steel drum") == []


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
def test_changes_that_are_none_change_nothing(writable: Server, body: object) -> None:
    clip = add(writable, sounds.noise(0.3, seed=5), title="Kept", tags="kept")
    writable.problem(writable.client.patch(address(clip["id"]), json=body), 422)
    assert writable.client.get(address(clip["id"])).json()["title"] == "Kept"


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"title": "\\ud800"}', b"\xff\xfe", b"[" * 100_000, b'{"title": NaN}']
)
def test_changes_that_are_no_json(writable: Server, content: bytes) -> None:
    clip = add(writable, sounds.noise(0.3, seed=5), title="Kept")
    response = writable.client.patch(
        address(clip["id"]), content=content, headers={"content-type": "application/json"}
    )
    if response.status_code != 200:  # a lone surrogate may be left out
        writable.problem(response, response.status_code)
        assert response.status_code in {400, 422}
    assert writable.client.get(address(clip["id"])).status_code == 200


def test_removed_it_is_gone_with_its_file(writable: Server, writable_folder: Path) -> None:
    before = tree(writable_folder)
    clip = add(writable, sounds.noise(0.3, seed=6), tags="ephemeral")
    assert len(tree(writable_folder)) == len(before) + 1
    response = writable.client.delete(address(clip["id"]))
    assert (response.status_code, response.content) == (204, b"")
    assert matching_ids(writable, "ephemeral") == []
    assert tree(writable_folder) == before
    for path in (address(clip["id"]), str(clip["audio"])):
        writable.problem(writable.client.get(path), 404, "no clip")
    for late in (
        writable.client.delete,
        lambda path: writable.client.patch(path, json={"title": "x"}),
    ):
        writable.problem(late(address(clip["id"])), 404, "no clip")


def test_all_clips_page_by_page(writable: Server) -> None:
    ids = [add(writable, sounds.noise(0.3, seed=10 + n), tags="paged")["id"] for n in range(5)]
    for sort, expected in (("newest", ids[::-1]), ("id", sorted(ids, key=str))):
        listed, cursor = [], ""
        while cursor is not None:
            asked = {"k": 2, "tag": "paged", "sort": sort, "cursor": cursor}
            page = writable.client.get("/v1/clips", params=asked).json()
            assert page["total"] == 5
            listed += [clip["id"] for clip in page["clips"]]
            cursor = page["next"]
        assert listed == expected
    assert writable.client.get("/v1/clips").json()["total"] >= 5
    for wrong in ("k=0", "sort=size", "cursor=x", "min_duration=5&max_duration=1", "k=101"):
        writable.problem(writable.client.get(f"/v1/clips?{wrong}"), 422)


def test_what_the_client_has_is_not_sent_again(writable: Server) -> None:
    clip = add(writable, sounds.noise(0.3, seed=20), title="Same")
    for path in (address(clip["id"]), str(clip["audio"]), f"{address(clip['id'])}/waveform"):
        first = writable.client.get(path)
        tag = first.headers["etag"]
        assert first.status_code == 200
        weak = f"W/{tag.removeprefix('W/')}"
        for has in (tag, f'"x", {weak}', "*"):
            again = writable.client.get(path, headers={"If-None-Match": has})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"].removeprefix("W/") == tag.removeprefix("W/")
        assert writable.client.get(path, headers={"If-None-Match": '"x"'}).content == first.content
    ranged = {
        "Range": "bytes=0-9",
        "If-Range": writable.client.get(str(clip["audio"])).headers["etag"],
    }
    assert writable.client.get(str(clip["audio"]), headers=ranged).status_code == 206
    other = {"Range": "bytes=0-9", "If-Range": '"x"'}
    assert writable.client.get(str(clip["audio"]), headers=other).status_code == 200


def test_changes_to_what_the_client_has_not_read_are_refused(writable: Server) -> None:
    clip = add(writable, sounds.noise(0.3, seed=21), title="Mine")
    place = address(clip["id"])
    read = writable.client.get(place).headers["etag"]
    edited = writable.client.patch(place, json={"title": "Yours"}, headers={"If-Match": read})
    assert edited.status_code == 200
    assert edited.headers["etag"] == writable.client.get(place).headers["etag"] != read
    late = writable.client.patch(place, json={"title": "Mine"}, headers={"If-Match": read})
    writable.problem(late, 412, "has changed since")
    writable.problem(writable.client.delete(place, headers={"If-Match": read}), 412)
    assert writable.client.get(place).json()["title"] == "Yours"
    now = {"If-Match": edited.headers["etag"]}
    assert writable.client.delete(place, headers=now).status_code == 204


def test_a_waveform_is_that_of_the_sound(writable: Server) -> None:
    samples = tiny.noise(1.5, 8_000, seed=22)
    clip = add(writable, sounds.encoded(samples, 8_000))
    place = f"{address(clip['id'])}/waveform"
    body = writable.client.get(place, params={"points": 50}).json()
    assert body.keys() == {"peaks", "duration"}
    assert body["duration"] == pytest.approx(1.5)
    stored, _ = soundfile.read(io.BytesIO(sounds.encoded(samples, 8_000)), dtype="float32")
    np.testing.assert_array_equal(body["peaks"], peaks([stored], 50))
    assert len(writable.client.get(place).json()["peaks"]) == 400
    for wrong in (0, -1, 4_001, "many"):
        writable.problem(writable.client.get(place, params={"points": wrong}), 422, "points")
    writable.problem(writable.client.get("/v1/clips/nothing/waveform"), 404)


def test_many_write_at_once_and_nothing_is_lost(writable: Server, writable_folder: Path) -> None:
    def one(number: int) -> str:
        with httpx.Client(base_url=writable.client.base_url, timeout=60) as client:
            files = {"file": ("a.wav", sounds.noise(0.3, seed=50 + number))}
            added = client.post("/v1/clips", files=files, data={"tags": "crowd"}).json()
            client.patch(address(added["id"]), json={"tags": ["crowd", f"number{number}"]})
            if number % 2:
                assert client.delete(address(added["id"])).status_code == 204
            return str(added["id"])

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(one, range(8)))
    listed = writable.client.get("/v1/clips", params={"tag": "crowd", "k": 100}).json()
    assert {clip["id"] for clip in listed["clips"]} == set(ids[::2])
    assert len(matching_ids(writable, "crowd")) == 4
