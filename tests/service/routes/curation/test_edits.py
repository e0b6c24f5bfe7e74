"""Many clips changed at once over HTTP, undoing it, and what changed when."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.service import sounds
from tests.service.library_edits import add, address, matching_ids
from tests.service.server_process import Server


@pytest.fixture(scope="module")
def three(writable: Server) -> Iterator[list[str]]:
    """The ids of three clips of the source `Bulk`."""
    made = [
        add(writable, sounds.noise(0.3, seed=90 + number), title=f"Bulk {number}", source="Bulk")
        for number in range(3)
    ]
    ids = [str(body["id"]) for body in made]
    yield ids
    for clip_id in ids:
        writable.client.delete(address(clip_id))


def edit(server: Server, status: int = 200, **body: object) -> dict[str, object]:
    """The answer to a bulk edit."""
    answer = server.client.patch("/v1/clips", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def undo(server: Server, number: object) -> dict[str, object]:
    """The answer to undoing an edit."""
    answer = server.client.post(f"/v1/edits/{number}/undo")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def clip(server: Server, clip_id: str) -> httpx.Response:
    """A clip."""
    return server.client.get(address(clip_id))


def test_chosen_clips_change_together_and_are_found_by_it(
    writable: Server, three: list[str]
) -> None:
    done = edit(
        writable, ids=three[:2], set={"licence": "CC0-1.0"}, add_tags=["marimba", "Soft mallet"]
    )
    assert (done["changed"], done["unchanged"]) == (2, 0)
    assert sorted(matching_ids(writable, "marimba")) == sorted(three[:2])
    body = clip(writable, three[0]).json()
    assert (body["licence"], body["tags"]) == ("CC0-1.0", ["marimba", "Soft-mallet"])
    again = edit(writable, ids=three[:2], add_tags=["MARIMBA"])
    assert again == {"number": None, "changed": 0, "unchanged": 2}
    undone = undo(writable, done["number"])
    assert (undone["changed"], undone["conflicts"], undone["conflict_ids"]) == (2, 0, [])
    assert matching_ids(writable, "marimba") == []
    assert clip(writable, three[0]).json()["tags"] == []


def test_what_filters_and_words_find_changes(writable: Server, three: list[str]) -> None:
    assert edit(writable, where={"source": ["Bulk"]}, add_tags=["gong"])["changed"] == 3
    found = edit(writable, where={"source": ["Bulk"], "q": "Bulk gong -drum"}, add_tags=["hum"])
    assert found["changed"] == 3
    assert edit(writable, where={"tag": ["gong"]}, remove_tags=["HUM", "gong"])["changed"] == 3
    assert edit(writable, where={"tag": ["gong"]}, add_tags=["gone"])["changed"] == 0


def test_a_clip_that_has_changed_since_stops_all(writable: Server, three: list[str]) -> None:
    tags = {clip_id: clip(writable, clip_id).headers["etag"] for clip_id in three}
    edit(writable, ids=[three[1]], set={"author": "Bo"})
    refused = edit(writable, 412, ids=three, set={"author": "Cy"}, etags=tags)
    assert three[1] in str(refused["detail"])
    assert three[0] not in str(refused["detail"])
    assert clip(writable, three[0]).json()["author"] == ""
    tags[three[1]] = clip(writable, three[1]).headers["etag"]
    assert edit(writable, ids=three, set={"author": "Cy"}, etags=tags)["changed"] == 3


def test_undo_leaves_what_has_changed_since_and_can_be_undone(
    writable: Server, three: list[str]
) -> None:
    first = edit(writable, ids=three, set={"author": "Di"})
    edit(writable, ids=[three[0]], set={"author": "Ed"})
    undone = undo(writable, first["number"])
    assert (undone["changed"], undone["conflict_ids"]) == (2, [three[0]])
    assert clip(writable, three[0]).json()["author"] == "Ed"
    listed = writable.client.get("/v1/edits", params={"k": 3}).json()["edits"]
    assert [entry["means"] for entry in listed] == ["undo", "bulk-edit", "bulk-edit"]
    assert listed[0]["undoes"] == listed[2]["number"] == first["number"]
    assert listed[2]["undone_by"] == listed[0]["number"]
    assert [entry["clips"] for entry in listed] == [2, 1, 3]
    assert undo(writable, undone["number"])["changed"] == 2
    assert clip(writable, three[1]).json()["author"] == "Di"
    listed = writable.client.get("/v1/edits", params={"k": 4}).json()["edits"]
    assert listed[3]["undone_by"] is None


def test_a_clip_tells_its_changes_newest_first(writable: Server) -> None:
    body = add(writable, sounds.noise(0.3, seed=97), title="Before")
    path = address(str(body["id"]))
    writable.client.patch(path, json={"title": "After", "author": ""})
    writable.client.patch(path, json={"tags": ["x y"]})
    told = writable.client.get(f"{path}/history").json()
    assert (told["id"], told["added_at"], told["next"]) == (body["id"], body["added_at"], None)
    changes = told["changes"]
    assert [(change["before"], change["after"]) for change in changes] == [
        ({"tags": []}, {"tags": ["x-y"]}),
        ({"title": "Before"}, {"title": "After"}),
    ]
    assert {(change["made_by"], change["means"]) for change in changes} == {("", "edit")}
    page = writable.client.get(f"{path}/history", params={"k": 1}).json()
    after = writable.client.get(f"{path}/history", params={"cursor": page["next"]}).json()
    assert page["changes"] + after["changes"] == changes


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "ids, where: expected one of them"),
        ({"ids": [], "where": {}}, 422, "ids, where: expected one of them"),
        ({"ids": ["no-such"]}, 404, "no clip 'no-such'"),
        ({"where": {"tag": ["zz"]}, "etags": {"no-such": "x"}}, 404, "no clip 'no-such'"),
        ({"where": {"min_duration": 2, "max_duration": 1}}, 422, "duration: expected"),
        ({"where": {"tags": ["x"]}}, 422, "tags"),
        ({"where": {"q": "  "}}, 422, "q: expected words"),
        ({"where": {"min_probability": 0.9}}, 422, "min_probability: expected words"),
        ({"ids": ["a"], "set": {"recorded": "May"}}, 422, "recorded"),
        ({"ids": ["a"] * 10_001}, 422, "ids"),
    ],
)
def test_a_malformed_edit_is_refused(
    writable: Server, body: dict[str, object], status: int, says: str
) -> None:
    assert says in str(edit(writable, status, **body)["detail"])


def test_there_must_be_such_an_edit_and_such_a_page(writable: Server) -> None:
    client = writable.client
    assert client.post("/v1/edits/999999/undo").json()["type"].endswith("unknown-edit")
    assert client.post("/v1/edits/0/undo").status_code == 422
    assert client.get("/v1/edits", params={"cursor": "1x"}).status_code == 422
    assert client.get("/v1/clips/no-such/history").status_code == 404
    assert client.patch("/v1/clips/no-such/history", json={}).status_code == 405
