"""Helpers of tests that write to a library over HTTP: adding, finding, listing files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from tests.service.server_process import Server


def address(clip_id: object) -> str:
    return f"/v1/clips/{quote(str(clip_id), safe='')}"


def add(server: Server, sound: bytes, name: str = "sound.wav", **data: object) -> dict[str, object]:
    """An upload's clip."""
    response = server.client.post("/v1/clips", files={"file": (name, sound)}, data=data)
    assert response.status_code == 201, response.text
    body: dict[str, object] = response.json()
    assert response.headers["location"] == address(body["id"])
    return body


def matching_ids(server: Server, words: str) -> list[str]:
    """Ids of the clips that hold these words."""
    hits = server.client.get("/v1/search", params={"q": words, "k": 100}).json()["hits"]
    return [hit["id"] for hit in hits if hit["why"]["matched"]]


def tree(folder: Path) -> set[str]:
    """All files under the parent of the library, but for those that a search may write."""
    return {
        str(path.relative_to(folder.parent))
        for path in folder.parent.rglob("*")
        if path.is_file() and "catalogue.sqlite" not in path.name and path.name != "lock"
    }
