"""Feedback over HTTP; names, ids and bodies that must lead nowhere and leave nothing."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from earmark.service.auth.api_keys import KeyFile
from tests.service import sounds
from tests.service.library_edits import add, address, tree
from tests.service.server_process import Server, serving

NAMES = [
    "../../evil.wav",
    "..\\..\\evil.wav",
    "/etc/cron.d/evil",
    "a\x00b.wav",
    "uploads/.pending/lock",
    "con.wav",
    "x" * 3_000,
    "\u202egnp.wav",
    "<img src=x onerror=alert(1)>.wav",
    "%2e%2e%2fevil",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_files_lead_nowhere(writable: Server, writable_folder: Path, name: str) -> None:
    before = tree(writable_folder)
    clip = add(writable, sounds.noise(0.3, seed=30), name)
    (new,) = tree(writable_folder) - before
    place = Path(new)
    assert place.parent == Path("library/uploads")
    assert place.suffix == ".wav"
    assert place.stem.isalnum()
    assert "/" not in str(clip["title"])
    assert "\\" not in str(clip["title"])
    assert len(str(clip["title"])) <= 200
    writable.client.delete(address(clip["id"]))
    assert tree(writable_folder) == before


@pytest.mark.parametrize(
    "clip_id",
    ["../vectors.snapshot", "../../x", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "a\x00b", "/etc/x"],
)
def test_ids_lead_nowhere(writable: Server, writable_folder: Path, clip_id: str) -> None:
    before = tree(writable_folder)
    place = address(clip_id)
    for response in (
        writable.client.get(f"{place}/audio"),
        writable.client.get(f"{place}/waveform"),
        writable.client.patch(place, json={"title": "x"}),
        writable.client.delete(place),
    ):
        writable.problem(response, 404)
    assert tree(writable_folder) == before


@pytest.mark.parametrize("part", ["audio", "waveform", "similar"])
def test_parts_of_a_clip_are_only_read(writable: Server, part: str) -> None:
    clip = add(writable, sounds.noise(0.3, seed=31))
    for method in ("PATCH", "DELETE", "PUT", "POST"):
        response = writable.client.request(method, f"{address(clip['id'])}/{part}", json={})
        writable.problem(response, 405)
        assert response.headers["allow"] == "GET, HEAD"
    for path, methods in (
        (address(clip["id"]), "GET, HEAD, PATCH, DELETE"),
        ("/v1/clips", "GET, HEAD, POST, PATCH"),
        ("/v1/jobs/x", "GET, HEAD, DELETE"),
    ):
        assert writable.client.put(path).headers["allow"] == methods


def test_what_is_no_sound_leaves_nothing(writable: Server, writable_folder: Path) -> None:
    before = tree(writable_folder)
    for data, says in sounds.bad().values():
        response = writable.client.post("/v1/clips", files={"file": ("a.wav", data)})
        body = writable.problem(response, 422, says)
        assert body["type"] == "/problems/not-a-sound"
        assert ".part" not in str(body)
    long = {"title": "x" * 1_001, "description": "x" * 20_001, "tags": "x" * 201}
    for name, value in long.items():
        files = {"file": ("a.wav", sounds.noise(0.3))}
        response = writable.client.post("/v1/clips", files=files, data={name: value})
        writable.problem(response, 422, name.rstrip("s"))
    writable.problem(writable.client.post("/v1/clips"), 422, "file")
    assert tree(writable_folder) == before


def test_feedback_on_a_clip_and_on_a_sound(writable: Server, writable_folder: Path) -> None:
    clip = add(writable, sounds.noise(0.3, seed=40), title="Rain", tags="rain roof")
    given = {"clip": clip["id"], "accepted": ["heavy rain"], "rejected": ["roof"]}
    response = writable.client.post("/v1/feedback", json=given)
    assert response.status_code == 201, response.text
    on_clip = response.json()
    assert (on_clip["clip"], on_clip["accepted"]) == (clip["id"], ["heavy-rain"])
    assert (on_clip["rejected"], on_clip["by"]) == (["roof"], None)
    sound = {"file": ("A bell.wav", sounds.noise(0.3, seed=41))}
    data = {"accepted": ["bell", "church"], "rejected": "dog"}
    response = writable.client.post("/v1/feedback", files=sound, data=data)
    assert response.status_code == 201, response.text
    on_sound = response.json()
    assert (on_sound["clip"], on_sound["title"]) == (None, "A bell")
    listed = writable.client.get("/v1/feedback").json()
    assert listed == {"feedback": [on_sound, on_clip], "next": None, "total": 2}
    first = writable.client.get("/v1/feedback", params={"k": 1}).json()
    assert (first["feedback"], first["next"]) == ([on_sound], on_sound["number"])
    rest = writable.client.get("/v1/feedback", params={"k": 1, "before": first["next"]}).json()
    assert (rest["feedback"], rest["next"]) == ([on_clip], None)
    response = writable.client.get("/v1/feedback/manifest.csv")
    assert response.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["tags"] for row in rows] == ["rain heavy-rain", "bell church"]
    assert all((writable_folder / row["path"]).is_file() for row in rows)
    assert str(writable_folder) not in response.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"clip": "nothing", "accepted": ["rain"]}, 404),
        ({"clip": "x"}, 404),
        ({"accepted": ["rain"]}, 422),
        ({"clip": "x", "accepted": "rain"}, 422),
        ({"clip": 7, "accepted": ["rain"]}, 422),
        ({"clip": "x", "accepted": ["rain"], "path": "/etc/passwd"}, 422),
        ([], 422),
    ],
)
def test_feedback_that_is_none(writable: Server, body: object, status: int) -> None:
    writable.problem(writable.client.post("/v1/feedback", json=body), status)


def test_feedback_that_says_nothing_or_both(writable: Server) -> None:
    clip = {"clip": add(writable, sounds.noise(0.3, seed=42))["id"]}
    for tags, says in (
        ({}, "expected at least one tag"),
        ({"accepted": [" ", "\u202e"]}, "expected at least one tag"),
        ({"accepted": ["rain"], "rejected": ["Rain"]}, "expected no accepted tag, got 'rain'"),
    ):
        writable.problem(writable.client.post("/v1/feedback", json={**clip, **tags}), 422, says)


def test_feedback_forms_that_are_none(writable: Server, writable_folder: Path) -> None:
    before = tree(writable_folder)
    good = {"file": ("a.wav", sounds.noise(0.3))}
    for files, data, status in (
        (good, {}, 422),
        (good, {"accepted": "x" * 201}, 422),
        (good, {"accepted": "a", "clip": "b"}, 422),
        ({"other": good["file"]}, {"accepted": "a"}, 422),
        ({"file": ("a.wav", b"no sound")}, {"accepted": "a"}, 422),
        ([("file", good["file"]), ("file", good["file"])], {"accepted": "a"}, 422),
    ):
        writable.problem(writable.client.post("/v1/feedback", files=files, data=data), status)
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"content-type": kind}
        writable.problem(writable.client.post("/v1/feedback", content=b"a", headers=headers), 415)
    broken = {"content-type": "multipart/form-data"}
    writable.problem(writable.client.post("/v1/feedback", content=b"a", headers=broken), 400)
    assert tree(writable_folder) == before


def test_feedback_says_whose_key_gave_it(
    tmp_path: Path, model_folder: Path, writable_folder: Path
) -> None:
    keys = KeyFile(tmp_path / "keys")
    secret = keys.add("ann", "write")
    arguments = ("--library", writable_folder, "--model", model_folder)
    with serving(tmp_path / "log", *arguments, EARMARK_KEYS=str(keys.path)) as server:
        clip = add(server, sounds.noise(0.3, seed=43))
        given = {"clip": clip["id"], "accepted": ["rain"]}
        bearer = {"Authorization": f"Bearer {secret}"}
        response = server.client.post("/v1/feedback", json=given, headers=bearer)
        assert response.json()["by"] == "ann"
        assert server.client.get("/v1/feedback?k=1").json()["feedback"] == [response.json()]
