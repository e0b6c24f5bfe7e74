"""Metadata in uploaded files: alone, in jobs, beside a form; and when sounds were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.service.client import Client
from tests.model.audio import tagged
from tests.service.server_process import Server

IN_FILE = {
    "title": "Rain on a métal roof",
    "tags": ["Field-Recording", "Rain"],
    "author": "Ann Lee",
    "licence": "CC-BY-4.0",
    "description": "Behind the barn",
    "recorded": "2021-05-03",
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound whose file says what IN_FILE says."""
    folder = tmp_path_factory.mktemp("tagged")
    return tagged.tag(tagged.encode(folder / "a.m4a", seconds=0.5))


def test_an_uploaded_file_says_what_the_form_does_not(writable: Server, sound: Path) -> None:
    form = {"tags": "hail", "title": "Hail", "recorded": "2020"}
    for data, says in (({}, IN_FILE), (form, {**form, "tags": ["hail"], "author": "Ann Lee"})):
        response = writable.client.post(
            "/v1/clips", files={"file": ("x.m4a", sound.read_bytes())}, data=data
        )
        assert response.status_code == 201, response.text
        assert response.json().items() >= says.items()
        clip = writable.client.get(response.headers["Location"]).json()
        assert clip.items() >= says.items()
        writable.client.delete(response.headers["Location"])


def test_the_files_of_a_job_speak_for_themselves(writable: Server, sound: Path) -> None:
    plain = tagged.encode(sound.with_name("a.flac"), seconds=0.5)
    with Client(str(writable.client.base_url)) as client:
        job = client.submit([sound, plain], licence="CC0-1.0", tags=["field"])
        *_, last = client.events(job.id)
        assert last.data["failed"] == 0, last
        clips = {clip.title: clip for clip in client.clips(tag=["field"])}
        assert sorted(clips) == ["Rain on a métal roof", "a"]
        clip = clips["Rain on a métal roof"]
        assert (clip.author, clip.licence, clip.recorded) == ("Ann Lee", "CC0-1.0", "2021-05-03")
        for clip in clips.values():
            client.delete(clip.id)


def test_when_a_sound_was_recorded_is_edited(writable: Server, sound: Path) -> None:
    with Client(str(writable.client.base_url)) as client:
        added = client.upload(sound, recorded="2020-05")
        assert added.recorded == "2020-05"
        assert client.edit(added.id, recorded="2020-05-31T06:30").recorded == "2020-05-31T06:30"
        address = f"/v1/clips/{added.id}"
        for date in ("31.5.2020", "2020-02-30", "x" * 41):
            response = writable.client.patch(address, json={"recorded": date})
            assert response.status_code == 422, response.text
            assert "recorded" in response.text
        assert client.clip(added.id).recorded == "2020-05-31T06:30"
        assert client.edit(added.id, recorded="").recorded == ""
        client.delete(added.id)


def test_broken_metadata_costs_the_sound_nothing(writable: Server, sound: Path) -> None:
    broken = bytearray(sound.read_bytes())
    place = broken.index(b"\xa9nam") - 4
    broken[place : place + 4] = b"\0\0\0\4"  # shorter than its own header
    response = writable.client.post("/v1/clips", files={"file": ("my-rain.m4a", bytes(broken))})
    assert response.status_code == 201, response.text
    assert response.json()["title"] == "my rain"
    writable.client.delete(response.headers["Location"])


@pytest.mark.slow
def test_endless_metadata_costs_the_sound_nothing(writable: Server, sound: Path) -> None:
    bomb = tagged.id3_tag(3, *[tagged.id3_frame("TIT2", b"\0%d" % n) for n in range(60_000)])
    mp3 = tagged.encode(sound.with_name("a.mp3"), seconds=0.5).read_bytes()
    response = writable.client.post("/v1/clips", files={"file": ("my-rain.mp3", bomb + mp3)})
    assert response.status_code == 201, response.text
    assert response.json()["title"] == "my rain"
    writable.client.delete(response.headers["Location"])
