"""Suggestions for a library and their review over HTTP, by two reviewers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.client.client import Client
from tests.index.curation import reviews
from tests.service.server_process import Server, serving

CLIPS = 200
SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """A library of made-up sounds."""
    folder = tmp_path_factory.mktemp("review") / "library"
    with Library.open(folder, load_embedder(model_folder), create=True) as library:
        reviews.add(library, CLIPS)
    return folder


@pytest.fixture(scope="module")
def reviewed(folder: Path, model_folder: Path) -> Iterator[Server]:
    """A server of it."""
    log = folder.parent / "log"
    with serving(log, "--library", folder, "--model", model_folder) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


@pytest.fixture
def client(reviewed: Server) -> Iterator[Client]:
    with Client(f"http://127.0.0.1:{reviewed.port}") as client:
        yield client


def wait_until_ready(client: Client) -> None:
    """Wait until suggestions are computed."""
    until = time.monotonic() + SECONDS
    while client.suggesting().state != "ready":
        assert time.monotonic() < until, client.suggesting()
        time.sleep(0.02)


def test_suggestions_are_computed_when_somebody_asks(reviewed: Server, client: Client) -> None:
    assert client.suggesting().state == "never"
    assert client.suggested_tags().tags == client.suggestions().sounds == []
    answer = reviewed.client.post("/v1/suggestions")
    assert answer.status_code == 202
    assert reviewed.client.get(answer.headers["Location"]).status_code == 200
    wait_until_ready(client)
    assert (client.suggesting().done, client.suggesting().total) == (CLIPS, CLIPS)
    waiting = sum(tag.waiting for tag in client.suggested_tags().tags)
    assert waiting >= 1_000
    page = client.suggestions("rain", k=2)
    assert [tag.tag for sound in page.sounds for tag in sound.tags] == ["rain", "rain"]
    assert page.next
    assert page.seconds is None
    more = client.suggestions("RAIN", k=1, cursor=page.next)
    assert more.sounds[0].tags[0].probability <= page.sounds[1].tags[0].probability


def test_what_is_edited_gets_its_own_by_itself(client: Client) -> None:
    client.suggest_all()
    wait_until_ready(client)
    (sound,) = client.suggestions("dog", k=1).sounds
    client.edit(sound.clip.id, tags=["Dog"], licence="CC0-1.0")
    assert sound.clip.id not in {one.clip.id for one in client.suggestions("dog", k=200).sounds}
    assert client.suggestions("dog", licence=["CC0-1.0"]).sounds == []
    client.edit(sound.clip.id, tags=[])
    wait_until_ready(client)
    (back,) = client.suggestions("dog", licence=["CC0-1.0"]).sounds
    assert (back.clip.id, back.tags) == (sound.clip.id, sound.tags)
    assert client.stop_suggesting().state in ("ready", "stopped")
    assert client.suggest_all().state in ("ready", "working")


def test_verdicts_are_given_and_taken_back(client: Client) -> None:
    client.suggest_all()
    wait_until_ready(client)
    page = client.lease_suggestions("tab-1", "bark", order="unsurest", k=3)
    assert page.seconds == 300
    ids = [sound.clip.id for sound in page.sounds]
    other = client.lease_suggestions("tab-2", "bark", order="unsurest", k=3)
    assert not {sound.clip.id for sound in other.sounds} & set(ids)
    done = client.judge([(ids[0], "bark", "accept"), (ids[1], "bark", "reject"),
                         ("gone", "bark", "accept")])  # fmt: skip
    assert (done.accepted, done.rejected, done.gone) == (1, 1, ["gone"])
    assert client.clip(ids[0]).tags == ["bark"]
    assert done.edit is not None
    assert client.edits(k=1).edits[0].means == "review"
    assert client.search("bark", k=1).hits[0].id == ids[0]
    back = client.judge([(ids[0], "bark", "undecided"), (ids[1], "bark", "undecided")])
    assert (back.undecided, client.clip(ids[0]).tags) == (2, [])
    for reviewer in ("tab-1", "tab-2"):  # who goes on to something else gives back
        assert client.lease_suggestions(reviewer, "zebra").sounds == []
    assert ids == [
        sound.clip.id for sound in client.suggestions("bark", order="unsurest", k=3).sounds
    ]
    client.lease_suggestions("tab-2", "none")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("leases", {"suggested": "rain"}, "reviewer"),
        ("leases", {"reviewer": "", "suggested": "rain"}, "reviewer"),
        ("leases", {"reviewer": "a", "k": 201}, "k"),
        ("leases", {"reviewer": "a", "cursor": "W10"}, "cursor: expected one that a list gave"),
        ("leases", {"reviewer": "a", "collection": ["none"]}, "collection"),
        ("verdicts", {"verdicts": []}, "verdicts"),
        ("verdicts", {"verdicts": [{"clip": "s1", "tag": "a", "verdict": "yes"}]}, "verdict"),
        ("verdicts", {"verdicts": [{"clip": "s1", "tag": "\x07", "verdict": "accept"}]}, "tag"),
        (
            "verdicts",
            {"verdicts": [{"clip": "s1", "tag": "a", "verdict": "reject"}] * 501},
            "verdicts",
        ),
    ],
)
def test_wrong_requests_are_refused(
    reviewed: Server, path: str, body: dict[str, object], says: str
) -> None:
    answer = reviewed.client.post(f"/v1/suggestions/{path}", json=body)
    reviewed.problem(answer, 404 if "collection" in body else 422, says)


@pytest.mark.slow
def test_two_reviewers_at_once_lose_nothing(client: Client) -> None:
    client.suggest_all()
    wait_until_ready(client)
    judged: dict[str, list[tuple[str, str]]] = {"ann": [], "bob": []}
    faults: list[BaseException] = []

    def review(name: str) -> None:
        """One goes tag by tag, the other sound by sound."""
        try:
            with Client(str(client._http.base_url)) as own:
                tags = [tag.tag for tag in own.suggested_tags().tags] if name == "ann" else [""]
                for tag in (*tags, ""):
                    while sounds := own.lease_suggestions(name, tag, k=20).sounds:
                        pairs = [(one.clip.id, each.tag) for one in sounds for each in one.tags]
                        own.judge(
                            [(clip, tag, "accept" if int(clip[1:]) % 6 else "reject")
                             for clip, tag in pairs],
                            reviewer=name,
                        )  # fmt: skip
                        judged[name] += pairs
        except BaseException as fault:
            faults.append(fault)
            raise

    with ExitStack() as stack:
        for name in judged:
            thread = threading.Thread(target=review, args=(name,))
            thread.start()
            stack.callback(thread.join)
    assert faults == []
    both = judged["ann"] + judged["bob"]
    assert len(both) == len(set(both)) >= 1_000
    assert min(map(len, judged.values())) > 100
    tags = client.suggested_tags().tags
    assert sum(tag.waiting for tag in tags) == 0
    assert sum(tag.accepted + tag.rejected for tag in tags) == len(both)
    clips = {clip.id: set(clip.tags) for clip in client.clips()}
    for clip_id, tag in both:
        assert (tag in clips[clip_id]) == bool(int(clip_id[1:]) % 6)
