"""Uploads over a real server: tags and classes for good sounds, problems for all else."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.calibration import class_temperature
from earmark.model.encoders.load import load_embedder
from tests.service import sounds
from tests.service.server_process import Server

GOOD = sounds.odd_but_good()
BAD = sounds.bad()


def test_tags_are_ranked_probabilities_with_their_places(server: Server) -> None:
    response = server.upload(sounds.noise(7.0))
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"tags", "duration", "damaged", "known", "ignored", "taught"}
    assert body["duration"] == pytest.approx(7.0, abs=0.01)
    assert len(body["tags"]) == 10
    scores = [entry["score"] for entry in body["tags"]]
    assert scores == sorted(scores, reverse=True)
    assert len({entry["tag"] for entry in body["tags"]}) == 10
    for entry in body["tags"]:
        assert 0 <= entry["score"] <= 1
        assert 1 <= len(entry["windows"]) <= 3
        window_scores = [window["score"] for window in entry["windows"]]
        assert window_scores == sorted(window_scores, reverse=True)
        for window in entry["windows"]:
            assert 0 <= window["score"] <= 1
            assert 0 <= window["start"] < window["end"] <= 7.0
        starts = sorted(window["start"] for window in entry["windows"])
        assert all(later - former > 1 for former, later in itertools.pairwise(starts))
        assert entry["suggested"] in {True, False}


def test_a_damaged_upload_says_so(server: Server) -> None:
    sound = sounds.noise(2.0)
    half = sound[: len(sound) // 2]
    tagged = server.upload(half).json()
    assert (tagged["duration"], tagged["damaged"]) == pytest.approx((1.0, 1.0), abs=0.01)
    added = server.upload(half, "/v1/clips").json()
    assert (added["duration"], added["damaged"]) == pytest.approx((1.0, 1.0), abs=0.01)
    found = server.client.get(f"/v1/clips/{added['id']}").json()
    assert found["damaged"] == added["damaged"]
    assert server.client.delete(f"/v1/clips/{added['id']}").status_code == 204
    assert server.upload(sound).json()["damaged"] == 0


def test_the_same_upload_has_the_same_answer_and_k_cuts_it(server: Server) -> None:
    sound = sounds.noise(1.5, seed=3)
    whole = server.upload(sound, "/v1/tags?k=12").json()["tags"]
    assert len(whole) == 12
    assert server.upload(sound, "/v1/tags?k=12").json()["tags"] == whole
    assert server.upload(sound, "/v1/tags?k=2").json()["tags"] == whole[:2]
    for k in (0, -1, 101, 1_000_000):
        server.problem(server.upload(sound, f"/v1/tags?k={k}"), 422, "k: ")


def test_tags_agree_with_the_model_itself(server: Server, model_folder: Path) -> None:
    embedder = load_embedder(model_folder)
    sound = sounds.noise(1.0, seed=5)
    cosines = embedder.vocabulary_vectors @ embedder.embed_audio(sound).vector
    scores = embedder.calibration.probabilities(cosines)
    best = sorted(zip(embedder.vocabulary, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    answered = server.upload(sound).json()["tags"]
    assert [entry["tag"] for entry in answered] == [tag for tag, _ in best[:10]]
    assert [entry["score"] for entry in answered] == pytest.approx(
        [score for _, score in best[:10]], abs=1e-5
    )


@pytest.mark.parametrize("labels", [["dog,rain, siren drum"], ["dog", "rain", "siren drum"]])
def test_classes_are_probabilities_that_sum_to_one(server: Server, labels: list[str]) -> None:
    response = server.upload(sounds.noise(), "/v1/classify", labels=labels)
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"classes", "ignored", "notes", "taught"}
    assert {entry["label"] for entry in body["classes"]} == {"dog", "rain", "siren drum"}
    shares = [entry["probability"] for entry in body["classes"]]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert shares == sorted(shares, reverse=True)
    assert body["ignored"] == ["siren"]
    assert (body["notes"], body["taught"]) == ([], [])


def test_labels_that_are_taken_otherwise_are_said(server: Server) -> None:
    labels = ["dog", "dogs", "no rain"]
    for multiple in ("false", "true"):
        answer = server.upload(sounds.noise(), "/v1/classify", labels=labels, multiple=multiple)
        assert answer.json()["notes"] == [
            "“no rain”: the model does not understand “no”",
            "“dog” and “dogs” mean nearly the same to the model",
        ]


def test_classes_are_the_softmax_of_cosines_over_the_temperature(
    server: Server, model_folder: Path
) -> None:
    embedder, sound = load_embedder(model_folder), sounds.noise(1.0, seed=5)
    labels = ["dog", "rain", "bell"]
    cosines = (
        embedder.embed_tags([[label] for label in labels]) @ embedder.embed_audio(sound).vector
    )
    powers = [math.exp(float(cosine) / class_temperature(embedder.card)) for cosine in cosines]
    answered = server.upload(sound, "/v1/classify", labels=labels).json()["classes"]
    assert {entry["label"]: entry["probability"] for entry in answered} == pytest.approx(
        {label: power / sum(powers) for label, power in zip(labels, powers, strict=True)}, abs=1e-5
    )


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (None, "labels: expected either labels or prompts"),
        ("", "labels"),
        ("dog", "labels: expected 2 to 200 different ones, got 1"),
        ("dog,dog, dog ,,", "labels: expected 2 to 200 different ones, got 1"),
        (",".join(f"label{number}" for number in range(201)), "got 201"),
        ("dog,zzzqqq", "labels: not understood: 'zzzqqq'"),
        ("dog,🐕", "labels: not understood: '🐕'"),
        ("dog," + "x" * 10_000, "labels: expected at most 100 letters each, got 10000"),
    ],
)
def test_labels_that_cannot_be_used(server: Server, labels: str | None, says: str) -> None:
    data = {} if labels is None else {"labels": labels}
    server.problem(server.upload(sounds.noise(), "/v1/classify", **data), 422, says)


@pytest.mark.parametrize("name", GOOD)
def test_rare_formats_are_taken(server: Server, name: str) -> None:
    assert server.upload(GOOD[name]).status_code == 200
    response = server.upload(GOOD[name], "/v1/classify", labels="dog,rain")
    assert response.status_code == 200


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_is_said_to_be_none(server: Server, name: str) -> None:
    data, says = BAD[name]
    body = server.problem(server.upload(data), 422, says)
    assert body["type"] == "/problems/not-a-sound"
    server.problem(server.upload(data, "/v1/classify", labels="dog,rain"), 422, says)


def test_a_hostile_name_of_a_file_is_not_repeated(server: Server) -> None:
    files = {"file": ("../../etc/passwd<script>.wav", b"not a sound")}
    body = server.problem(server.client.post("/v1/tags", files=files), 422, "file: ")
    assert "passwd" not in str(body)


def test_no_file_part(server: Server) -> None:
    client = server.client
    for response in (
        client.post("/v1/tags"),
        client.post("/v1/tags", data={"file": "a text field"}),
        client.post("/v1/tags", files={"other": ("a.wav", sounds.noise())}),
        client.post("/v1/tags", json={"file": "x"}),
        client.post("/v1/tags", content=sounds.noise(), headers={"content-type": "audio/wav"}),
        client.post("/v1/classify", data={"labels": "dog,rain"}),
    ):
        body = server.problem(response, 422, "file: ")
        assert body["type"] == "/problems/invalid-request"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--y\r\nwrong boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nbad header\r\n\r\nabc\r\n--x--\r\n"),
        ("multipart/form-data; boundary=\xff".encode("latin-1"), b"--x--\r\n"),
    ],
)
def test_bodies_that_are_not_what_they_claim(
    server: Server, kind: str | bytes, content: bytes
) -> None:
    response = server.client.post("/v1/tags", content=content, headers={"content-type": kind})
    assert response.status_code in {400, 422}
    server.problem(response, response.status_code)


def test_a_form_of_too_many_or_too_large_parts(server: Server) -> None:
    many = {f"field{number}": "x" for number in range(1200)}
    server.problem(server.upload(sounds.noise(), "/v1/tags", **many), 400)
    server.problem(server.upload(sounds.noise(), "/v1/classify", labels="x" * 2_000_000), 400)


_SEEDS = [sounds.noise(0.1), *(GOOD[name] for name in ("flac", "ogg", "mp3"))]
_HEADS = [
    b"",
    b"RIFF",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\x1aE\xdf\xa3",
    b"\0\0\0\x20ftypM4A ",
    b"#EXTM3U\n",
]


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A good sound with a few bytes changed, cut somewhere."""
    data = bytearray(draw(st.sampled_from(_SEEDS)))
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, min(len(data), 400) - 1))
        data[place] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))])


_RANDOM = st.builds(
    lambda head, rest: head + rest, st.sampled_from(_HEADS), st.binary(max_size=600)
)


@settings(max_examples=100, deadline=None)
@given(data=st.one_of(_RANDOM, _mutated()))
def test_no_bytes_at_all_make_the_server_fail(server: Server, data: bytes) -> None:
    response = server.upload(data)
    if response.status_code != 200:
        server.problem(response, 422)


def test_a_client_that_leaves_in_the_middle_harms_nobody(server: Server) -> None:
    def half() -> object:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        yield sounds.noise()[:5000]
        raise RuntimeError("the client stops here")

    kind = {"content-type": "multipart/form-data; boundary=x"}
    with (
        pytest.raises(RuntimeError, match="stops here"),
        httpx.Client(base_url=server.client.base_url) as client,
    ):
        client.post("/v1/tags", content=half(), headers=kind)
    assert server.upload(sounds.noise()).status_code == 200
