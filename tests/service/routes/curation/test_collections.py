"""Collections over HTTP, live: making, ordering, following, filtering; conflicts and bad input."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from earmark.index.curation import collections
from earmark.service.routes.conversions import filter_of, kept_search, kept_search_body
from earmark.service.schemas.curation.collections import (
    MAX_CHANGED,
    KeptSearchBody,
    NewCollection,
)
from earmark.service.schemas.filters import FilterQuery
from tests.service import sounds
from tests.service.library_edits import add
from tests.service.server_process import Server

PATH = "/v1/collections"


@pytest.fixture(scope="module")
def clips(writable: Server) -> list[str]:
    """Ids of three clips: zephyr, zinnia and zebra, of which the last two are tagged `zoo`."""
    return [
        str(add(writable, sounds.noise(0.3, seed=900 + number), title=word, tags=tags)["id"])
        for number, (word, tags) in enumerate(
            (("zephyr", "zephyr"), ("zinnia", "zinnia zoo"), ("zebra", "zebra zoo"))
        )
    ]


@pytest.fixture
def made(writable: Server, clips: list[str]) -> Iterator[str]:
    """The address of a collection of the three clips, deleted in the end."""
    body = {"name": "Zed", "description": "All with a z", "clips": clips}
    response = writable.client.post(PATH, json=body)
    assert response.status_code == 201, response.text
    yield response.headers["location"]
    writable.client.delete(response.headers["location"])


def problem_of(response: object) -> tuple[int, str]:
    """The status and the type of a problem."""
    return response.status_code, response.json()["type"].rpartition("/")[2]  # type: ignore[attr-defined]


def ids(server: Server, collection: str) -> list[str]:
    return [clip["id"] for clip in server.client.get(f"{collection}/clips").json()["clips"]]


def test_a_collection_is_made_ordered_and_deleted(
    writable: Server, clips: list[str], made: str
) -> None:
    body = writable.client.get(made).json()
    assert (made, body["id"], body["name"], body["clips"]) == (f"{PATH}/zed", "zed", "Zed", 3)
    assert (body["description"], body["follows"]) == ("All with a z", None)
    assert ids(writable, made) == clips
    change = {"remove": [clips[1]], "move": [clips[2]], "before": clips[0]}
    changed = writable.client.patch(f"{made}/clips", json=change)
    assert changed.json()["clips"] == 2
    assert ids(writable, made) == [clips[2], clips[0]]
    first = writable.client.get(f"{made}/clips", params={"k": 1}).json()
    assert (first["clips"][0]["id"], first["total"]) == (clips[2], 2)
    second = writable.client.get(f"{made}/clips", params={"k": 1, "cursor": first["next"]}).json()
    assert ([clip["id"] for clip in second["clips"]], second["next"]) == ([clips[0]], None)
    renamed = writable.client.patch(made, json={"name": "Zzz"}).json()
    assert (renamed["id"], renamed["name"], renamed["description"]) == (
        "zed",
        "Zzz",
        "All with a z",
    )
    listed = writable.client.get(PATH).json()["collections"]
    assert [one["id"] for one in listed][:1] == ["favourites"]
    assert renamed in listed
    assert writable.client.delete(made).status_code == 204
    assert problem_of(writable.client.get(made)) == (404, "unknown-collection")


def test_a_state_that_has_changed_is_a_conflict(
    writable: Server, clips: list[str], made: str
) -> None:
    old = {"If-Match": writable.client.get(made).headers["etag"]}
    new = {
        "If-Match": writable.client.patch(
            f"{made}/clips", json={"remove": clips[:1]}, headers=old
        ).headers["etag"]
    }
    for call in (
        lambda: writable.client.patch(made, json={"name": "Y"}, headers=old),
        lambda: writable.client.patch(f"{made}/clips", json={"add": clips}, headers=old),
        lambda: writable.client.delete(made, headers=old),
    ):
        assert problem_of(call()) == (412, "precondition-failed")
    assert writable.client.delete(made, headers=new).status_code == 204


def test_lists_and_searches_take_collections_as_filters(
    writable: Server, clips: list[str], made: str
) -> None:
    writable.client.patch(f"{made}/clips", json={"remove": clips[1:2]})
    where = {"collection": ["zed", "favourites"]}
    listed = writable.client.get("/v1/clips", params=where).json()
    assert ({clip["id"] for clip in listed["clips"]}, listed["total"]) == ({clips[0], clips[2]}, 2)
    found = writable.client.get("/v1/search", params={"q": "dog", **where}).json()
    assert {hit["id"] for hit in found["hits"]} == {clips[0], clips[2]}
    with_tags = {"q": "dog", **where, "tag": ["zoo"]}
    found = writable.client.post("/v1/search", json=with_tags).json()
    assert [hit["id"] for hit in found["hits"]] == [clips[2]]
    similar = writable.client.get(f"/v1/clips/{clips[0]}/similar", params=where).json()
    assert [hit["id"] for hit in similar["hits"]] == [clips[2]]
    heard = writable.client.post(
        "/v1/search/audio", params=where, files={"file": ("a.wav", sounds.noise(0.3, seed=900))}
    ).json()
    assert heard["hits"][0]["id"] == clips[0]
    assert len(heard["hits"]) == 2


def test_the_map_shows_a_collection_where_it_is_in_the_whole(
    writable: Server, clips: list[str], made: str
) -> None:
    whole = writable.client.get("/v1/map").json()
    shown = writable.client.get("/v1/map", params={"collection": "zed", "no_tag": "zinnia"})
    body = shown.json()
    assert body["shown"] == 2
    assert set(body["points"]["id"]) == {clips[0], clips[2]}
    place = whole["points"]["id"].index(clips[2])
    own = body["points"]["id"].index(clips[2])
    assert body["points"]["x"][own] == whole["points"]["x"][place]
    tag = {"If-None-Match": shown.headers["etag"]}
    again = writable.client.get(str(shown.request.url), headers=tag)
    assert again.status_code == 304
    assert writable.client.get("/v1/map", params={"collection": "none"}).status_code == 404


def test_an_unknown_collection_is_told(writable: Server, clips: list[str]) -> None:
    where = {"collection": "nowhere"}
    for path, query in (
        ("/v1/clips", where),
        ("/v1/search", {"q": "zebra", **where}),
        (f"/v1/clips/{clips[0]}/similar", where),
        (f"{PATH}/nowhere/clips", {}),
        (f"{PATH}/nowhere", {}),
    ):
        response = writable.client.get(path, params=query)
        assert problem_of(response) == (404, "unknown-collection")
        assert "'nowhere'" in response.json()["detail"]


def test_a_kept_search_follows(writable: Server, clips: list[str]) -> None:
    follows = {"q": "", "tag": ["zoo"]}
    made = writable.client.post(PATH, json={"name": "The zoo", "follows": follows})
    assert made.json()["clips"] == 2, made.text
    path = made.headers["location"]
    assert ids(writable, path) == [clips[2], clips[1]]
    (listed,) = [
        one
        for one in writable.client.get(PATH).json()["collections"]
        if one["id"] == made.json()["id"]
    ]
    assert (listed["clips"], listed["follows"]["tag"]) == (None, ["zoo"])
    edited = writable.client.patch(path, json={"follows": {"q": "zephyr"}}).json()
    assert edited["follows"]["q"] == "zephyr"
    assert ids(writable, path)[0] == clips[0]
    refused = writable.client.patch(f"{path}/clips", json={"add": clips})
    assert problem_of(refused) == (422, "invalid-request")
    listed = writable.client.get("/v1/clips", params={"collection": "the-zoo"}).json()
    assert clips[0] in [clip["id"] for clip in listed["clips"]]
    assert writable.client.delete(path).status_code == 204


def test_bad_input_is_refused_and_changes_nothing(
    writable: Server, clips: list[str], made: str
) -> None:
    tag = writable.client.get(made).headers["etag"]
    for method, path, body, expected in (
        ("POST", PATH, {"name": "zed"}, (422, "invalid-request")),
        ("POST", PATH, {"name": " "}, (422, "invalid-request")),
        ("POST", PATH, {"name": "a", "clips": ["none"]}, (404, "unknown-clip")),
        ("POST", PATH, {"name": "a", "clips": clips, "follows": {}}, (422, "invalid-request")),
        ("POST", PATH, {"name": "a", "follows": {"collection": ["none"]}},
         (404, "unknown-collection")),
        ("POST", PATH, {"name": "a", "follows": {"min_duration": 2, "max_duration": 1}},
         (422, "invalid-request")),
        ("PATCH", made, {"follows": {"q": "a"}}, (422, "invalid-request")),
        ("PATCH", f"{made}/clips", {"before": "none"}, (422, "invalid-request")),
        ("PATCH", f"{made}/clips", {"add": ["none"]}, (404, "unknown-clip")),
        ("PATCH", f"{made}/clips", {"put": clips}, (422, "invalid-request")),
        ("DELETE", f"{PATH}/favourites", None, (422, "invalid-request")),
    ):  # fmt: skip
        assert problem_of(writable.client.request(method, path, json=body)) == expected, body
    assert writable.client.get(made).headers["etag"] == tag


def test_the_limits_are_those_of_the_library() -> None:
    (limits,) = NewCollection.model_fields["name"].metadata[:1]
    assert limits.max_length == collections.MAX_NAME_CHARACTERS
    assert 2 * MAX_CHANGED < collections.GAP  # room between two clips for all of a request


def test_a_kept_search_comes_back_as_it_was_sent() -> None:
    """Every condition that a search takes: also those that are added to it later."""
    values = {}
    for name, field in FilterQuery.model_fields.items():
        kind = str(field.annotation)
        number = 4.0 if name.startswith("max_") else 2.0
        text = "2026-11" if name.startswith("added") else name
        values[name] = (
            [1] if "list[int]" in kind or "list[typing.Annotated[int" in kind
            else [text] if "list" in kind
            else text if "str" in kind
            else number
        )  # fmt: skip
    body = KeptSearchBody.model_validate({"q": "rain", **values}, strict=False)
    kept = kept_search(body)
    assert kept.where == filter_of(body)
    assert kept_search_body(kept) == body
    assert kept_search_body(type(kept).from_json(kept.to_json())) == body
