"""Forms of uploads: names of files in any notation, and more files than are meant."""

from __future__ import annotations

from http import HTTPStatus

import httpx
import pytest

from tests.service import sounds
from tests.service.library_edits import address
from tests.service.server_process import Server

BOUNDARY = "a-boundary"
SOUND = sounds.noise(0.2, seed=80)
NAMES = [
    ('filename="say \\"go\\".wav"', 'say "go"'),
    ('filename="say %22go%22.wav"', 'say "go"'),
    ('filename="rain%20%E2%80%A6.wav"', "rain …"),
    ("filename*=UTF-8''rain%20%E2%80%A6.wav", "rain …"),
    ("filename=\"rain.wav\"; filename*=UTF-8''caf%C3%A9.wav", "café"),
]


def send(server: Server, path: str, *parameters: str, **fields: str) -> httpx.Response:
    """Send a sound for each of these parameters of a part's header."""
    lines = [f'; name="file"; {name}\r\n\r\n'.encode() + SOUND for name in parameters]
    lines += [f'; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    body = b"".join(
        b"--%b\r\nContent-Disposition: form-data%b\r\n" % (BOUNDARY.encode(), line)
        for line in lines
    )
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return server.client.post(
        path, content=body + f"--{BOUNDARY}--\r\n".encode(), headers={"Content-Type": kind}
    )


@pytest.mark.parametrize(("parameters", "title"), NAMES)
def test_a_name_becomes_a_title(writable: Server, parameters: str, title: str) -> None:
    added = send(writable, "/v1/clips", parameters)
    assert (added.status_code, added.json()["title"]) == (HTTPStatus.CREATED, title)
    writable.client.delete(address(added.json()["id"]))
    told = send(writable, "/v1/feedback", parameters, accepted="rain")
    assert (told.status_code, told.json()["title"]) == (HTTPStatus.CREATED, title)


def test_names_of_many_at_once_become_titles(writable: Server) -> None:
    begun = send(writable, "/v1/jobs", *(parameters for parameters, _ in NAMES))
    assert "event: done" in writable.client.get(begun.json()["events"]).text
    ids = writable.client.get(begun.headers["location"]).json()["added"]
    clips = [writable.client.get(address(clip)).json() for clip in ids]
    assert [clip["title"] for clip in clips] == [title for _, title in NAMES]


def test_one_file_is_meant_and_several_are_refused(writable: Server) -> None:
    plain = 'filename="a.wav"'
    for path in ("/v1/clips", "/v1/tags", "/v1/classify", "/v1/search/audio", "/v1/feedback"):
        refused = send(writable, path, plain, plain, labels="rain,wind", accepted="rain")
        writable.problem(refused, 422, "file: expected one, got 2")
        mixed = send(writable, path, plain, labels="rain,wind", accepted="rain", file="text")
        writable.problem(mixed, 422, "file: expected one, got 2")
    assert writable.client.get("/v1/clips", params={"k": 1}).status_code == 200


def test_text_in_place_of_a_file_is_told_in_our_words(writable: Server) -> None:
    answer = writable.client.post("/v1/jobs", data={"file": ["x", "y"]})
    writable.problem(answer, 422, "file.0: expected a file")
    assert "UploadFile" not in answer.text


def test_what_is_no_form_or_too_much_of_one_is_told_in_our_words(writable: Server) -> None:
    many = send(writable, "/v1/jobs", *['filename="a.wav"'] * 101)
    writable.problem(many, 400, "body: expected at most 100 files")
    fields = send(writable, "/v1/clips", 'filename="a.wav"', title="x" * 100_001)
    writable.problem(fields, 400, "body: expected at most 100000 bytes in a field")
    for kind, body in (("", b"x"), (f"; boundary={BOUNDARY}", b"--a-boundary\r\nx\r\n")):
        headers = {"Content-Type": f"multipart/form-data{kind}"}
        for path in ("/v1/clips", "/v1/jobs", "/v1/feedback"):
            refused = writable.client.post(path, content=body, headers=headers)
            writable.problem(refused, 400, "body: expected a multipart form")
