"""Services on one library, beside each other: what is done through one is there in the others.

Two share a Milvus (milvus-lite in a process of its own, or a real one where EARMARK_TEST_MILVUS
names it); one has been there since before the move, and goes on with FAISS.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from earmark.index import maintenance
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from tests.index import made
from tests.index.stores.milvus import server as milvus
from tests.service import sounds
from tests.service.library_edits import add, address, matching_ids
from tests.service.server_process import Server, serving

COUNT = 5  # clips at first

Start = Callable[[Path], contextlib.AbstractContextManager[Server]]


@dataclass(frozen=True)
class Services:
    """Those that run on the library in `folder`, and how another one is started."""

    faiss: Server
    one: Server
    other: Server
    folder: Path
    start: Start


@dataclass(frozen=True)
class Pair:
    """Two of them."""

    one: Server
    other: Server
    alike: bool  # on the same vector store


@pytest.fixture(scope="module")
def milvus_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if uri := milvus.named():
        with milvus.cleared(uri):
            yield uri
    else:
        with milvus.process(tmp_path_factory.mktemp("milvus")) as uri:
            yield uri


@pytest.fixture(scope="module")
def services(
    milvus_uri: str, tmp_path_factory: pytest.TempPathFactory, model_folder: Path
) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("replicas")
    library_folder = folder / "library"
    with Library.open(library_folder, load_embedder(model_folder), create=True) as library:
        bulk.add(library, made.write_sounds(folder / "sounds", COUNT))

    def start(log: Path) -> contextlib.AbstractContextManager[Server]:
        return serving(log, "--library", library_folder, "--model", model_folder)

    logs = [folder / f"{name}.log" for name in ("faiss", "one", "other")]
    with contextlib.ExitStack() as stack:
        faiss = stack.enter_context(start(logs[0]))
        assert maintenance.migrate(library_folder, milvus_uri) == COUNT  # while one serves
        with ThreadPoolExecutor(2) as pool:  # both at once
            one, other = pool.map(lambda log: stack.enter_context(start(log)), logs[1:])
        kinds = [
            server.client.get("/v1/library").json()["index"].partition(" ")[0]
            for server in (faiss, one, other)
        ]
        assert kinds == ["flat,", "Milvus", "Milvus"]
        yield Services(faiss, one, other, library_folder, start)
    assert all("Traceback" not in log.read_text() for log in logs)


@pytest.fixture(params=["both on Milvus", "FAISS and Milvus"])
def pair(request: pytest.FixtureRequest, services: Services) -> Iterator[Pair]:
    """Two services; what a test adds goes again."""
    alike = request.param == "both on Milvus"
    yield Pair(services.one if alike else services.faiss, services.other, alike)
    for clip in services.other.client.get("/v1/clips?k=100").json()["clips"]:
        if not clip["title"].startswith("noise"):
            assert services.other.client.delete(address(clip["id"])).status_code == 204


def like(server: Server, sound: bytes, k: int = 3) -> list[dict[str, object]]:
    """The clips nearest to a sound."""
    answer = server.upload(sound, f"/v1/search/audio?k={k}")
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, object]] = answer.json()["hits"]
    return hits


def test_a_clip_added_through_one_is_found_through_the_other(pair: Pair) -> None:
    both = (pair.one, pair.other)
    for number, (here, there) in enumerate((both, both[::-1])):
        sound = sounds.noise(0.6, seed=100 + number)
        word = f"quetzal{number}"
        clip = str(add(here, sound, title=f"A {word} at dawn", tags="feathers")["id"])
        assert matching_ids(there, word) == [clip]
        nearest = like(there, sound)[0]
        assert (nearest["id"], nearest["cosine"]) == (clip, pytest.approx(1.0, abs=1e-3))
        by_sound = there.client.get("/v1/search?q=dog&k=100").json()["hits"]
        assert clip in [hit["id"] for hit in by_sound if hit["why"]["sound_rank"]]
        similar = f"{address(clip)}/similar?k=3"
        mine, its = (
            [hit["id"] for hit in service.client.get(similar).json()["hits"]] for service in both
        )
        assert mine == its
        assert len(mine) == 3
        for part in ("", "/audio", "/waveform"):
            mine, its = (service.client.get(address(clip) + part) for service in (here, there))
            assert mine.status_code == its.status_code == 200
            assert mine.content == its.content
            assert mine.headers["etag"] == its.headers["etag"]
        assert there.client.get(f"{address(clip)}/audio").content == sound


def test_what_is_said_of_a_clip_is_the_same_in_both(pair: Pair) -> None:
    sound = sounds.noise(0.5, seed=200)
    clip = str(add(pair.one, sound, title="Nameless", tags="oldtag")["id"])
    read = pair.one.client.get(address(clip))
    changes = {"title": "Heard by Xolotl", "tags": ["newtag"]}
    changed = pair.other.client.patch(
        address(clip), json=changes, headers={"If-Match": read.headers["etag"]}
    )
    assert changed.status_code == 200
    assert pair.one.client.get(address(clip)).json()["tags"] == ["newtag"]
    assert (matching_ids(pair.one, "xolotl"), matching_ids(pair.one, "nameless")) == ([clip], [])
    for tag, expected in (("newtag", [clip]), ("oldtag", [])):
        answer = pair.one.client.get("/v1/search", params={"q": "dog", "tag": tag})
        assert [hit["id"] for hit in answer.json()["hits"]] == expected
    late = pair.one.client.patch(
        address(clip), json={"title": "Late"}, headers={"If-Match": read.headers["etag"]}
    )
    pair.one.problem(late, 412)


def test_a_clip_deleted_through_one_is_gone_in_the_other(pair: Pair) -> None:
    sound = sounds.noise(0.5, seed=300)
    clip = str(add(pair.one, sound, title="Ephemeral")["id"])
    assert like(pair.other, sound)[0]["id"] == clip
    assert pair.other.client.delete(address(clip)).status_code == 204
    pair.one.problem(pair.one.client.get(address(clip)), 404)
    pair.one.problem(pair.one.client.get(f"{address(clip)}/audio"), 404)
    assert matching_ids(pair.one, "ephemeral") == []
    assert clip not in [hit["id"] for hit in like(pair.one, sound, k=100)]
    assert len(like(pair.one, sound, k=4)) == 4


def test_what_a_client_has_from_one_it_need_not_fetch_from_the_other(pair: Pair) -> None:
    clip = str(add(pair.one, sounds.noise(0.4, seed=400), title="Known")["id"])
    paths = [address(clip), f"{address(clip)}/waveform", "/v1/search?q=known", "/v1/map"]
    if pair.alike:
        paths.append("/v1/library")  # which tells of the index
    for path in paths:
        tag = pair.one.client.get(path).headers["etag"]
        again = pair.other.client.get(path, headers={"If-None-Match": tag})
        assert again.status_code == 304, path
    first = pair.one.client.get("/v1/search?q=dog&k=2").json()
    second = {"q": "dog", "k": 2, "cursor": first["next"]}
    mine, its = (
        [hit["id"] for hit in service.client.get("/v1/search", params=second).json()["hits"]]
        for service in (pair.one, pair.other)
    )
    assert mine == its
    assert len({*mine, *(hit["id"] for hit in first["hits"])}) == 4


def test_both_are_written_to_at_once(pair: Pair) -> None:
    def at_work(numbered: tuple[int, Server]) -> tuple[set[str], set[str]]:
        """(the clips that stay, those that were removed), of some added and changed."""
        number, server = numbered
        present, removed = set(), set()
        for turn in range(8):
            sound = sounds.noise(0.2, seed=1_000 + 100 * number + turn)
            clip = str(add(server, sound, title="crowd", tags=f"of{number}")["id"])
            present.add(clip)
            edited = server.client.patch(address(clip), json={"tags": ["done", f"turn{turn}"]})
            assert edited.status_code == 200
            if turn % 2:
                assert server.client.delete(address(clip)).status_code == 204
                present.discard(clip)
                removed.add(clip)
        return present, removed

    with ThreadPoolExecutor(2) as pool:
        work = list(pool.map(at_work, enumerate((pair.one, pair.other))))
    present = set().union(*(present for present, _ in work))
    removed = set().union(*(removed for _, removed in work))
    for server in (pair.one, pair.other):
        assert set(matching_ids(server, "crowd")) == present
        parameters = {"q": "crowd", "tag": "done", "k": 100}
        hits = server.client.get("/v1/search", params=parameters).json()["hits"]
        assert {hit["id"] for hit in hits} == present
        everything = {str(hit["id"]) for hit in like(server, sounds.noise(0.2), k=100)}
        assert present <= everything
        assert not removed & everything
        total = server.client.get("/v1/clips?k=1").json()["total"]
        assert len(everything) == total


def test_one_is_killed_and_the_others_go_on(services: Services, tmp_path: Path) -> None:
    known: list[str] = []

    def uploading(seed: int) -> None:
        with contextlib.suppress(httpx.TransportError):  # it was killed
            while True:
                seed += 10
                answer = httpx.post(
                    f"http://127.0.0.1:{services.one.port}/v1/clips",
                    files={"file": ("a.wav", sounds.noise(0.3, seed=seed))},
                    data={"title": "survivor"},
                    timeout=60,
                )
                if answer.status_code == 201:
                    known.append(answer.json()["id"])

    threads = [threading.Thread(target=uploading, args=(2_000 + number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 60
        while len(known) < 6:
            assert time.monotonic() < until
            assert services.other.client.get("/v1/search?q=survivor").status_code == 200
    finally:
        services.one.process.kill()
        for thread in threads:
            thread.join()
    others = (services.other, services.faiss)
    for service in others:
        until = time.monotonic() + 60
        while service.client.get("/readyz").status_code != 200:  # it takes in what was written
            assert time.monotonic() < until
        assert set(known) <= set(matching_ids(service, "survivor"))
    after = str(add(services.other, sounds.noise(0.3, seed=9_000), title="survivor, later")["id"])
    everything = set(matching_ids(services.faiss, "survivor"))
    assert {*known, after} <= everything
    with services.start(tmp_path / "again.log") as again:
        assert set(matching_ids(again, "survivor")) == everything
        for clip in everything:
            assert again.client.get(f"{address(clip)}/audio").status_code == 200
        total = again.client.get("/v1/clips?k=1").json()["total"]
        uploads = [file for file in (services.folder / "uploads").glob("*.wav") if file.is_file()]
        assert len(uploads) == total - COUNT  # no orphan
