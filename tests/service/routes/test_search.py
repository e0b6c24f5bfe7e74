"""GET /v1/search over a real server: the answer's fields, its bounds, wild queries."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.index import made
from tests.service.conftest import MANIFEST
from tests.service.server_process import Server


def search(server: Server, **parameters: object) -> httpx.Response:
    return server.client.get("/v1/search", params=parameters)


def test_the_answer_has_what_clients_rely_on(server: Server) -> None:
    response = search(server, q="the dog barks zzzqqq", k=6)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    fields = {"hits", "next", "sure", "understood", "guessed", "ignored", "without"}
    assert body.keys() == fields
    assert body["understood"] == ["dog", "bark"]
    assert body["ignored"] == ["zzzqqq", "the"]
    assert len(body["hits"]) == len(MANIFEST)
    first = body["hits"][0]
    assert first["title"] == "Dog barking in a yard"
    assert first["tags"] == ["dog", "bark"]
    assert (first["author"], first["source"]) == ("Ann", "Field tapes")
    assert (first["licence"], first["channels"], first["sample_rate"]) == ("CC0-1.0", 1, 22_000)
    assert first["audio"] == f"/v1/clips/{first['id']}/audio"
    assert body["next"] is None
    assert first["why"]["word_rank"] == 1
    assert first["why"]["matched"] == ["dog", "barks"]
    for hit in body["hits"]:
        assert isinstance(hit["id"], str)
        assert 0 < hit["score"] <= 1
        assert -1.0001 <= hit["cosine"] <= 1.0001
        assert 0 <= hit["start"] < hit["duration"]
        assert hit["why"].keys() == {"sound_rank", "word_rank", "share", "matched"}
    assert sorted(hit["why"]["sound_rank"] for hit in body["hits"]) == [1, 2, 3, 4, 5, 6]
    scores = [hit["score"] for hit in body["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_the_same_question_has_the_same_answer_and_k_only_cuts_it(server: Server) -> None:
    whole = search(server, q="church bell", k=6).json()
    assert search(server, q="church bell", k=6).json() == whole
    ids = [hit["id"] for hit in whole["hits"]]
    for k in (1, 3):
        assert [hit["id"] for hit in search(server, q="church bell", k=k).json()["hits"]] == ids[:k]
    assert len(search(server, q="church bell").json()["hits"]) == 6
    assert len(search(server, q="church bell", k=100).json()["hits"]) == 6


@pytest.mark.parametrize("k", [0, -1, 101, 1_000_000, "many", "", "1e2", 10**30])
def test_k_has_bounds(server: Server, k: object) -> None:
    server.problem(search(server, q="dog", k=k), 422, "k: ")


def test_a_query_is_needed_and_has_a_length(server: Server) -> None:
    server.problem(search(server), 422, "q: Field required")
    server.problem(search(server, q=""), 422, "q: ")
    body = server.problem(search(server, q="x" * 10_000), 422, "q: ")
    assert len(str(body["detail"])) < 200


@pytest.mark.parametrize(
    ("q", "ignored"),
    [
        ("zzzqqq", ["zzzqqq"]),
        ("🐕‍🦺 🌧️", ["🐕‍🦺", "🌧️"]),
        ("the of and", ["the", "of", "and"]),
        ("!!! ???", ["!!!", "???"]),
        ("x" * 500, ["x" * 500]),
    ],
)
def test_what_is_not_understood_is_said_not_refused(
    server: Server, q: str, ignored: list[str]
) -> None:
    response = search(server, q=q)
    assert response.status_code == 200
    body = response.json()
    assert (body["hits"], body["understood"], body["ignored"]) == ([], [], ignored)


def test_the_last_word_is_half_typed_only_where_the_client_says_so(server: Server) -> None:
    for query, guessed in (
        ({"typing": "true"}, {"engi": "engine"}),
        ({"typing": "false"}, {}),
        ({}, {}),
    ):
        assert search(server, q="engi", **query).json()["guessed"] == guessed
    server.problem(search(server, q="engi", typing="maybe"), 422, "typing: ")


@settings(max_examples=100, deadline=None)
@given(q=st.text(min_size=1, max_size=500), k=st.integers(1, 100))
def test_any_text_at_all_is_answered(server: Server, q: str, k: int) -> None:
    text = q.encode(errors="replace").decode()
    response = search(server, q=text, k=k)
    if not text.strip():
        server.problem(response, 422, "only spaces")
        return
    assert response.status_code == 200
    assert len(response.json()["hits"]) <= k


@pytest.mark.parametrize("raw", ["%00", "%FF%FE", "%ED%A0%80", "dog%00rain", "%22%20OR%20%22"])
def test_raw_bytes_in_the_query_are_answered(server: Server, raw: str) -> None:
    assert server.client.get(f"/v1/search?q={raw}").status_code == 200


def test_what_another_process_adds_is_found_without_a_restart(
    model_folder: Path, tmp_path: Path, server: Server, library_folder: Path
) -> None:
    assert search(server, q="submarine").json()["hits"] == []
    (file,) = made.write_sounds(tmp_path, 1, first=77)
    file = file.rename(tmp_path / "submarine_sonar.wav")
    arguments = ("--library", library_folder, "--model", model_folder)
    done = made.earmark("add", file, *arguments)
    assert done.returncode == 0, done.stderr
    (hit,) = search(server, q="submarine").json()["hits"]
    assert hit["title"] == "submarine sonar"
    assert server.client.get(hit["audio"]).content == file.read_bytes()
    done = made.earmark("remove", hit["id"], *arguments)
    assert done.returncode == 0, done.stderr
    assert search(server, q="submarine").json()["hits"] == []
    server.problem(server.client.get(f"/v1/clips/{hit['id']}"), 404)


def test_filters_choose_among_which(server: Server) -> None:
    def titles(**conditions: object) -> set[str]:
        body = search(server, q="dog", k=100, **conditions).json()
        return {hit["title"] for hit in body["hits"]}

    everything = search(server, q="dog", k=100).json()["hits"]
    tagged = [hit for hit in everything if "dog" in hit["tags"]]
    assert 0 < len(tagged) < len(everything)
    for parameters, expected in (
        ({"tag": "DOG"}, tagged),
        ({"no_tag": "dog"}, [hit for hit in everything if hit not in tagged]),
        ({"tag": ["dog", "nonesuch"]}, []),
        ({"any_tag": ["dog", "nonesuch"]}, tagged),
        ({"licence": "CC0-1.0"}, [hit for hit in everything if hit["licence"] == "CC0-1.0"]),
        ({"min_duration": 0.0, "max_duration": 9e9}, everything),
        ({"min_duration": 9e9}, []),
    ):
        assert titles(**parameters) == {hit["title"] for hit in expected}, parameters
    body = search(server, q="bark -dog", k=100).json()
    assert body["without"] == ["dog"]
    assert not any("dog" in hit["tags"] for hit in body["hits"])


@pytest.mark.parametrize(
    "conditions",
    [
        {"min_duration": -1},
        {"max_duration": "nan"},
        {"min_duration": "inf"},
        {"min_duration": 2, "max_duration": 1},
        {"tag": "x" * 201},
        {"tag": ""},
        {"tag": ["x"] * 21},
    ],
)
def test_filters_that_make_no_sense(server: Server, conditions: dict[str, object]) -> None:
    response = search(server, q="dog", **conditions)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_pages_follow_each_other(server: Server) -> None:
    whole = [hit["id"] for hit in search(server, q="dog bell", k=6).json()["hits"]]
    found, cursor = [], ""
    while cursor is not None:
        body = search(server, q="dog bell", k=4, cursor=cursor).json()
        found += [hit["id"] for hit in body["hits"]]
        cursor = body["next"]
    assert found == whole
    first = search(server, q="dog bell", k=4).json()["next"]
    for parameters in ({"q": "dog", "cursor": first}, {"q": "dog", "cursor": "abc"}):
        detail = server.problem(search(server, **parameters), 422)["detail"]
        assert detail.startswith("cursor: expected one ")


def test_words_of_descriptions_find_clips(server: Server) -> None:
    first = search(server, q="noon").json()["hits"][0]
    assert first["title"] == "Church bell"
    assert first["why"]["matched"] == ["noon"]
    assert first["why"]["share"] == 0.5  # a description's word counts half


def test_distinct_hits(server: Server) -> None:
    hits = search(server, q="dog", k=6, distinct=True).json()["hits"]
    ids = [hit["id"] for hit in hits] + [other for hit in hits for other in hit["alike"]]
    assert len(ids) == len(set(ids)) == len(MANIFEST)
