"""The other ways to ask for sounds: weighted tags, fields, orders, by an upload, by a clip."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.schemas.hits import PageBody, SearchBody
from tests.service import sounds as made_sounds
from tests.service.conftest import MANIFEST, ODD_ID
from tests.service.server_process import Server

TITLES = {title for _, title, _ in MANIFEST}


def post(server: Server, **body: object) -> dict[str, list[dict[str, object]]]:
    response = server.client.post("/v1/search", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, list[dict[str, object]]] = response.json()
    return found


def test_post_asks_as_get_does(server: Server) -> None:
    got = server.client.get("/v1/search", params={"q": "dog rain^2 -sea", "k": 4}).json()
    assert post(server, q="dog rain^2 -sea", k=4) == got
    tags = [{"tag": "rain", "weight": 2}, {"tag": "sea", "weight": -1}]
    assert post(server, q="dog", tags=tags, k=4)["hits"] == got["hits"]
    assert post(server, tags=[{"tag": "dog"}])["hits"][0]["tags"] == ["dog", "bark"]
    SearchBody.model_validate(got)


def test_unwanted_tags_alone_are_a_query(server: Server) -> None:
    found = post(server, tags=[{"tag": "dog", "weight": -1}])
    assert found["without"] == ["dog"]
    assert {hit["title"] for hit in found["hits"]} == TITLES - {"Dog barking in a yard"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "q, tags: expected words, got none"),
        ({"q": "   "}, "q, tags: expected words, got none"),
        ({"q": 5}, "q: "),
        ({"q": "dog", "tags": "rain"}, "tags: "),
        ({"tags": [{"tag": "dog", "weight": 11}]}, "tags.0.weight: "),
        ({"tags": [{"tag": "dog", "weight": None}]}, "tags.0.weight: "),
        ({"tags": [{}]}, "tags.0.tag: "),
        ({"q": "dog", "k": 0}, "k: "),
        ({"q": "dog", "sort": "colour"}, "sort: "),
        ({"q": "dog", "fields": ["path"]}, "fields.0: "),
        ({"q": "dog", "qq": 1}, "qq: "),
        ({"q": "dog", "min_duration": 3, "max_duration": 1}, "duration: "),
        ([], "body: "),
        ("dog", "body: "),
    ],
)
def test_what_cannot_be_asked(server: Server, body: object, says: str) -> None:
    server.problem(server.client.post("/v1/search", json=body), 422, says)


def test_fields_of_hits_are_chosen(server: Server) -> None:
    for params in ({"fields": "id,score"}, {"fields": ["id", "score"]}):
        found = server.client.get("/v1/search", params={"q": "dog", **params}).json()
        assert all(hit.keys() == {"id", "score"} for hit in found["hits"])
        assert found["understood"] == ["dog"]
    response = server.client.get("/v1/search", params={"q": "dog", "fields": "path"})
    server.problem(response, 422, "expected some of id, title, tags")


@pytest.mark.parametrize(
    ("sort", "key", "reverse"),
    [
        ("shortest", "duration", False),
        ("longest", "duration", True),
        ("title", "title", False),
    ],
)
def test_what_was_found_in_another_order(
    server: Server, sort: str, key: str, reverse: bool
) -> None:
    found = post(server, q="dog", sort=sort)["hits"]
    values = [hit[key] for hit in found]
    assert len(values) == 6
    assert values == sorted(values, reverse=reverse)
    newest = [hit["id"] for hit in post(server, q="dog", sort="newest")["hits"]]
    oldest = [hit["id"] for hit in post(server, q="dog", sort="oldest")["hits"]]
    assert newest == oldest[::-1]


@pytest.mark.parametrize("sort", ["relevance", "title"])
def test_pages_in_any_order_hold_each_clip_once(server: Server, sort: str) -> None:
    titles: list[object] = []
    cursor = ""
    while cursor is not None:
        page = post(server, q="dog bell", k=2, sort=sort, cursor=cursor)
        titles += [hit["title"] for hit in page["hits"]]
        cursor = page["next"]
    assert len(titles) == len(TITLES)
    assert set(titles) == TITLES
    other = post(server, q="dog bell", k=2, sort=sort)["next"]
    response = server.client.post("/v1/search", json={"q": "dog", "k": 2, "cursor": other})
    server.problem(response, 422, "cursor: expected one of this very query")


def test_by_a_sound(server: Server, sounds: Path, library_folder: Path, model_folder: Path) -> None:
    sound = (sounds / "dog.wav").read_bytes()
    body = server.upload(sound, "/v1/search/audio?k=3").json()
    PageBody.model_validate(body)
    assert body["hits"][0]["title"] == "Dog barking in a yard"
    assert body["hits"][0]["cosine"] == pytest.approx(1, abs=1e-4)
    embedder = load_embedder(model_folder)
    with Library.open(library_folder, embedder) as library:
        values = library.search_by_vector(embedder.embed_audio(sound).vector, 6).hits
    ids = [hit.clip.id for hit in values]
    assert [hit["id"] for hit in body["hits"]] == ids[:3]
    path = f"/v1/search/audio?k=3&cursor={body['next']}"
    assert [hit["id"] for hit in server.upload(sound, path).json()["hits"]] == ids[3:]
    server.problem(server.upload(made_sounds.noise(seed=77), path), 422, "cursor: ")
    found = server.upload(sound, "/v1/search/audio?tag=bell").json()["hits"]
    assert [hit["title"] for hit in found] == ["Church bell"]
    server.problem(server.upload(b"no sound", "/v1/search/audio"), 422, "not a sound")


def test_by_a_clip(server: Server) -> None:
    bell = post(server, q="bell")["hits"][0]
    assert bell["id"] == ODD_ID
    address = str(bell["audio"]).removesuffix("/audio") + "/similar"
    first = server.client.get(address, params={"k": 3}).json()
    rest = server.client.get(address, params={"k": 3, "cursor": first["next"]}).json()
    titles = [hit["title"] for hit in first["hits"] + rest["hits"]]
    assert len(titles) == 5
    assert set(titles) == TITLES - {"Church bell"}
    server.problem(server.client.get("/v1/clips/none/similar"), 404, "no clip 'none'")


def test_an_answer_that_has_not_changed_is_not_sent_again(server: Server) -> None:
    first = server.client.get("/v1/search?q=dog&k=2")
    tag = first.headers["etag"]
    again = server.client.get("/v1/search?q=dog&k=2", headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = server.client.get("/v1/search?q=dog&k=3", headers={"if-none-match": tag})
    assert other.status_code == 200


def test_the_quick_route_answers_as_its_model_says(server: Server) -> None:
    """Its answers are not made by way of the models that describe them."""
    answer = server.client.get("/v1/search?q=bell dog zzz&distinct=true")
    body = answer.content
    found = TypeAdapter(SearchBody).validate_json(body, strict=True)
    assert {hit.title for hit in found.hits} == TITLES
    # Repeated parameters: the last one counts, as everywhere.
    twice = server.client.get("/v1/search?q=bell&q=dog&k=1").json()
    assert twice["understood"] == ["dog"]
    head = server.client.head("/v1/search?q=bell dog zzz&distinct=true")
    assert (head.status_code, head.headers["content-length"]) == (
        200,
        answer.headers["content-length"],
    )
