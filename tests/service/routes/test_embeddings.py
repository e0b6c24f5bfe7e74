"""`/v1/embeddings` over a real server: vectors of phrases and sounds, in JSON and in forms."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.service import sounds
from tests.service.server_process import Server

PATH = "/v1/embeddings"
SOUND = sounds.noise(1.5, seed=5)


@pytest.fixture(scope="module")
def embedder(model_folder: Path) -> Embedder:
    return load_embedder(model_folder)


def audio(sound: bytes, **more: object) -> dict[str, object]:
    """A sound as an input."""
    data = base64.b64encode(sound).decode()
    return {"type": "input_audio", "input_audio": {"data": data, **more}}


def ask(server: Server, inputs: object, **options: object) -> httpx.Response:
    return server.client.post(PATH, json={"input": inputs, **options})


def vectors(response: httpx.Response) -> np.ndarray:
    """The vectors [n, D] of an answer, in its order, from either encoding."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["object"], body["model"]) == ("list", "w2v-128-1h")
    assert [item["index"] for item in body["data"]] == list(range(len(body["data"])))
    assert {item["object"] for item in body["data"]} == {"embedding"}
    rows = [
        np.frombuffer(base64.b64decode(item["embedding"]), "<f4")
        if isinstance(item["embedding"], str)
        else np.array(item["embedding"], np.float32)
        for item in body["data"]
    ]
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    return np.stack(rows)


def test_phrases_are_embedded_as_searches_are(server: Server, embedder: Embedder) -> None:
    answer = ask(server, ["dog bark", "rain", "wind in the glass"], model="earmark")
    expected = embedder.embed_tags([["dog", "bark"], ["rain"], ["wind", "glass"]])
    assert vectors(answer) == pytest.approx(expected, abs=1e-6)
    assert answer.json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert vectors(ask(server, "rain")) == pytest.approx(expected[1:2], abs=1e-6)


def test_many_phrases_have_the_vectors_that_each_has_alone(
    server: Server, embedder: Embedder
) -> None:
    words = ["dog", "rain", "bell", "door hit", "wave sea"] * 30
    expected = embedder.embed_tags([word.split() for word in words[:5]])
    assert vectors(ask(server, words)) == pytest.approx(np.tile(expected, (30, 1)), abs=1e-6)


def test_base64_holds_the_very_same_numbers(server: Server) -> None:
    inputs = ["dog", audio(SOUND)]
    plain, packed = (
        ask(server, inputs, encoding_format=name, dimensions=16.0, user="ann")
        for name in ("float", "base64")
    )
    assert isinstance(packed.json()["data"][0]["embedding"], str)
    assert (vectors(plain) == vectors(packed)).all()


def test_sounds_are_embedded_as_uploads_are(server: Server, embedder: Embedder) -> None:
    expected = [embedder.embed_audio(sound) for sound in (SOUND, sounds.noise(0.5, seed=6))]
    rain = embedder.embed_tags([["rain"]])
    first, second = (each.vector for each in expected)
    inputs = [audio(SOUND, format="wav"), "rain", audio(sounds.noise(0.5, seed=6))]
    mixed = ask(server, inputs)
    assert vectors(mixed) == pytest.approx(np.stack([first, rain[0], second]), abs=1e-5)
    windows = sum(len(each.windows) for each in expected)
    assert mixed.json()["usage"]["total_tokens"] == windows + 1
    files = [("file", ("a.wav", SOUND)), ("file", ("b.wav", sounds.noise(0.5, seed=6)))]
    form = server.client.post(PATH, files=files, data={"model": "earmark", "dimensions": "16"})
    assert vectors(form) == pytest.approx(np.stack([first, second]), abs=1e-5)


def test_a_large_body_of_sounds_is_read_from_disk(server: Server, embedder: Embedder) -> None:
    sound = sounds.noise(30.0)
    answer = ask(server, [audio(sound), "rain"])
    assert len(answer.request.content) > 1_000_000
    assert vectors(answer)[0] == pytest.approx(embedder.embed_audio(sound).vector, abs=1e-5)


def test_a_large_body_may_hold_nothing_but_sounds(server: Server) -> None:
    body = b'{"input": [' + b"[]," * 400_000 + b"[]]}"
    headers = {"Content-Type": "application/json"}
    refused = server.client.post(PATH, content=body, headers=headers)
    server.problem(refused, 413, "expected at most 1000000 bytes beside sounds")
    long = ask(server, ["dog " * 4_000] * 70)
    server.problem(long, 422, "input: expected at most 1000000 letters, got 1120000")


@pytest.mark.parametrize(
    ("body", "says", "param"),
    [
        ({}, "input: expected a phrase, or a list of phrases and sounds, got nothing", "input"),
        ({"input": []}, "got an empty list", "input"),
        ({"input": 7}, "got a number", "input"),
        ({"input": ""}, "input: expected 1 to 20000 letters, got 0", "input"),
        ({"input": ["dog", "…"]}, "input[1]: expected words that the model knows, got '…'",
         "input[1]"),
        ({"input": ["dog", None]}, "input[1]: expected a phrase or a sound, got nothing",
         "input[1]"),
        ({"input": ["d" * 20_001]}, "input[0]: expected 1 to 20000 letters, got 20001", "input[0]"),
        ({"input": ["dog"] * 2_049}, "input: expected at most 2048, got 2049", "input"),
        ({"input": [1, 2]}, "input: expected phrases, got token ids", "input"),
        ({"input": [[1, 2], [3]]}, "got token ids", "input"),
        ({"input": [{"type": "text"}]}, "input[0]: expected a sound as", "input[0]"),
        ({"input": ["dog", {"type": "input_audio", "input_audio": {"data": "?"}}]},
         "input[1]: data: expected base64", "input[1]"),
        ({"input": ["dog", audio(b"no sound")]}, "input[1]: not a sound this can read", "input[1]"),
        ({"input": [audio(SOUND)] * 101}, "input: expected at most 100 sounds, got 101", "input"),
        ({"input": "dog", "dimensions": 8}, "dimensions: expected the model's 16", "dimensions"),
        ({"input": "dog", "dimensions": "16"}, "dimensions: ", "dimensions"),
        ({"input": "dog", "encoding_format": "hex"}, "encoding_format: ", "encoding_format"),
        ({"input": "dog", "model": 7}, "model: ", "model"),
        ({"input": "dog", "inputs": "dog"}, "inputs: ", "inputs"),
    ],
)  # fmt: skip
def test_what_cannot_be_embedded_is_named(
    server: Server, body: object, says: str, param: str
) -> None:
    refused = server.client.post(PATH, json=body)
    server.problem(refused, 422, says)
    error = refused.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_of_several_files_the_bad_one_is_named(server: Server) -> None:
    files = [("file", (name, data)) for name, data in (("a.wav", SOUND), ("b.wav", b"no sound"))]
    server.problem(server.client.post(PATH, files=files), 422, "file[1]: not a sound")
    server.problem(server.client.post(PATH, files=files[1:]), 422, "file: not a sound")
    empty = {"files": {"other": b""}, "data": {"model": "earmark"}}
    server.problem(server.client.post(PATH, **empty), 422, "other: ")
    without = server.client.post(PATH, files={"model": (None, "earmark")})
    server.problem(without, 422, "file: expected one sound or several, got none")


@pytest.mark.parametrize("kind", ["text/plain", ""])
def test_other_bodies_are_refused(server: Server, kind: str) -> None:
    refused = server.client.post(PATH, content=b"dog", headers={"Content-Type": kind})
    server.problem(refused, 415, "body: expected application/json or multipart/form-data")
    broken = server.client.post(
        PATH, content=b'{"input": "', headers={"Content-Type": "application/json"}
    )
    server.problem(broken, 422, "body: expected JSON")
    assert broken.json()["error"]["param"] is None


def test_the_model_has_three_names(server: Server, embedder: Embedder) -> None:
    listed = server.client.get("/v1/models").json()
    assert listed["object"] == "list"
    model = {
        "id": "w2v-128-1h", "object": "model", "created": 0, "owned_by": "earmark",
        "fingerprint": embedder.fingerprint, "dimensions": 16,
    }  # fmt: skip
    assert listed["data"] == [model]
    for name in ("earmark", "w2v-128-1h", embedder.fingerprint):
        assert server.client.get(f"/v1/models/{name}").json() == {**model, "id": name}
        assert ask(server, "dog", model=name).json()["model"] == "w2v-128-1h"
    for refused in (
        ask(server, "dog", model="text-embedding-3-small"),
        server.client.post(PATH, files={"file": SOUND}, data={"model": "other/one"}),
        server.client.get("/v1/models/other/one"),
    ):
        server.problem(refused, 404, "model: expected one of earmark, w2v-128-1h, ")
        assert refused.json()["error"]["code"] == "model_not_found"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)
ITEM = JSON | st.builds(
    lambda kind, held: {"type": kind, "input_audio": held},
    st.just("input_audio") | JSON,
    st.fixed_dictionaries({"data": st.text("ABC=/+\n", max_size=12) | JSON}, optional={"x": JSON}),
)


@settings(max_examples=40, deadline=None)
@given(
    body=st.fixed_dictionaries(
        {"input": st.lists(ITEM, max_size=3) | ITEM},
        optional={"model": JSON, "dimensions": JSON, "encoding_format": JSON, "user": JSON},
    )
)
def test_any_json_is_answered(server: Server, body: object) -> None:
    answer = server.client.post(
        PATH, content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    if answer.status_code == 200:
        vectors(answer)
    else:
        assert answer.status_code in {404, 422}, answer.text
        error = answer.json()["error"]
        assert error["message"] == answer.json()["detail"]
        assert "\n" not in error["message"]
