"""Taught sounds over HTTP, live: labels, hits, what is asked, hand-over; bad input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.model import tiny
from tests.service import sounds
from tests.service.library_edits import add
from tests.service.server_process import Server

PATH = "/v1/classifiers"


def hum(hertz: float) -> bytes:
    """A tone."""
    times = np.arange(round(0.3 * tiny.RATE)) / tiny.RATE
    return sounds.encoded(0.3 * np.sin(2 * np.pi * hertz * times))


@pytest.fixture(scope="module")
def clips(writable: Server) -> Iterator[list[str]]:
    """Ids of twelve clips, of which those at even places are hums, the others noise."""
    ids = [
        str(add(writable, sound, title=f"taught {number}", tags="taught")["id"])
        for number in range(12)
        for sound in [hum(200 + 9 * number) if number % 2 == 0 else sounds.noise(0.3, 700 + number)]
    ]
    yield ids
    for clip_id in ids:
        writable.client.delete(f"/v1/clips/{clip_id}")


@pytest.fixture
def made(writable: Server) -> Iterator[str]:
    """The address of a new classifier, deleted in the end."""
    response = writable.client.post(PATH, json={"name": "Our hum"})
    assert response.status_code == 201, response.text
    yield response.headers["location"]
    writable.client.delete(response.headers["location"])


def say(clips: list[str]) -> dict[str, object]:
    """Labels of all clips, as they are."""
    return {
        "labels": [{"clip": clip, "is": place % 2 == 0} for place, clip in enumerate(clips)]
    }  # fmt: skip


def test_a_sound_is_taught_and_used(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    assert client.get(made).json()["id"] == "our-hum"
    answer = client.post(f"{made}/labels", json=say(clips)).json()
    assert (answer["positives"], answer["negatives"]) == (6, 6)
    assert answer["version"] >= 1
    assert answer["average_precision"] > 0.8
    assert client.get(PATH).json()["classifiers"][0] == answer
    hits = client.get(f"{made}/hits", params={"k": 6, "tag": "taught"}).json()["hits"]
    assert {hit["id"] for hit in hits} == set(clips[::2])
    assert all(hit["probability"] > 0.5 for hit in hits)
    listed = client.get("/v1/clips", params={"classifier": "our-hum", "tag": "taught"}).json()
    assert {clip["id"] for clip in listed["clips"]} == set(clips[::2])
    found = client.get("/v1/search", params={"q": "taught", "classifier": "our-hum", "k": 50})
    assert {hit["id"] for hit in found.json()["hits"]} <= {
        clip["id"] for clip in client.get("/v1/clips?classifier=our-hum&k=100").json()["clips"]
    }


def test_what_is_taught_is_heard_in_uploads(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    client.post(f"{made}/labels", json=say(clips))
    for sound, is_hum in ((hum(230), True), (sounds.noise(0.3, 5), False)):
        files = {"file": ("a.wav", sound)}
        (tag,) = client.post("/v1/tags", files=files).json()["taught"]
        assert (tag["tag"], tag["classifier"], tag["suggested"]) == ("our-hum", "our-hum", is_hum)
        form = {"labels": "our HUM,rain,dog"}
        body = client.post("/v1/classify", files=files, data=form).json()
        assert body["taught"] == ["our HUM"]
        assert len(body["classes"]) == 3
        alone = {"labels": "our hum,dog", "multiple": "true"}
        body = client.post("/v1/classify", files=files, data=alone).json()
        (found,) = [one for one in body["classes"] if one["label"] == "our hum"]
        assert found["probability"] == pytest.approx(tag["probability"], abs=1e-4)


def test_labels_are_listed_and_taken_back(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    moment = {"clip": clips[0], "is": True, "start": 0.1, "end": 0.2}
    client.post(f"{made}/labels", json={"labels": [{"clip": clips[1], "is": False}, moment]})
    first, second = client.get(f"{made}/labels").json()["labels"]
    assert {name: first[name] for name in moment} == moment
    assert (second["is"], second["start"], second["end"]) == (False, None, None)
    body = {"labels": [{**moment, "is": None}]}
    assert client.post(f"{made}/labels", json=body).json()["positives"] == 0


def test_what_is_asked_is_not_labelled(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    client.post(f"{made}/labels", json={"labels": [{"clip": clips[0], "is": True}]})
    asked = client.get(f"{made}/ask", params={"k": 4}).json()
    ids = [hit["id"] for hit in asked["hits"]]
    assert len(set(ids)) == 4
    assert clips[0] not in ids


def test_it_is_exported_and_taken_in(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    client.post(f"{made}/labels", json=say(clips))
    exported = client.get(f"{made}/export").json()
    taken = client.post(f"{PATH}/import", json=exported, params={"name": "Other hum"})
    assert taken.status_code == 201, taken.text
    assert (taken.json()["id"], taken.json()["imported"]) == ("other-hum", True)
    other = taken.headers["location"]
    assert client.get(f"{other}/hits").json()["hits"] == client.get(f"{made}/hits").json()["hits"]
    client.delete(other)
    for change in ({"fingerprint": "another"}, {"vector": "AAAA"}, {"format": "pickle"}):
        answer = client.post(f"{PATH}/import", json={**exported, **change})
        assert answer.status_code == (409 if "fingerprint" in change else 422), answer.text


def test_names_change_and_ids_stay(writable: Server, made: str) -> None:
    changed = writable.client.patch(made, json={"name": "Zum", "tag": "zum"}).json()
    assert (changed["id"], changed["name"], changed["tag"]) == ("our-hum", "Zum", "zum")


def test_bad_input_is_a_problem(writable: Server, clips: list[str], made: str) -> None:
    client = writable.client
    for path in ("", "/hits", "/ask", "/labels", "/export"):
        answer = client.get(f"{PATH}/none{path}")
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (
            404,
            "unknown-classifier",
        )
    assert client.get("/v1/search", params={"q": "x", "classifier": "none"}).status_code == 404
    assert client.post(PATH, json={"name": "our HUM"}).status_code == 422
    label = {"clip": clips[0], "is": True}
    for wrong in ({**label, "start": 9.0}, {**label, "is": "yes"}, {"clip": clips[0]}):
        answer = client.post(f"{made}/labels", json={"labels": [label, wrong]})
        assert answer.status_code == 422, answer.text
    gone = client.post(f"{made}/labels", json={"labels": [label, {"clip": "none", "is": True}]})
    assert gone.status_code == 404
    assert client.get(made).json()["positives"] == 0
