"""The library as a map, over HTTP: at real servers, whose processes are also killed."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from earmark.index.library import Library
from earmark.index.projection import storage
from earmark.index.projection.map import LibraryMap
from earmark.model.encoders.load import load_embedder
from earmark.service.client.client import AsyncClient, Client
from tests.index import made
from tests.index.projection.test_tsne import at_work, workers
from tests.service import sounds as noises
from tests.service.library_edits import add, address, tree
from tests.service.server_process import serving

DIM = 16
MANY = 4_000  # clips: laying them out takes seconds
SOME = 60

Json = dict[str, Any]


def filled(folder: Path, model: Path, count: int) -> Path:
    """A library of so many made-up clips, whose sounds nobody can hear."""
    with (
        Library.open(folder, load_embedder(model), create=True) as library,
        library.catalogue.write() as writer,
    ):
        for number in range(count):
            vector = made.vector(number, DIM)
            tags = (f"tag-{number % 7}", "sound")
            writer.put(made.new_clip(f"clip-{number}", number, vector=vector, tags=tags))
    return folder


@pytest.fixture
def some(tmp_path: Path, model_folder: Path) -> Path:
    return filled(tmp_path / "some", model_folder, SOME)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    return filled(tmp_path_factory.mktemp("many") / "library", model_folder, MANY)


@pytest.fixture
def large(many: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(many, tmp_path / "large"))


def ready(client: httpx.Client) -> Json:
    """The map, once it is made."""
    until = time.monotonic() + 120
    while True:
        response = client.get("/v1/map")
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        points = answer["points"]
        lengths = {name: len(column) for name, column in points.items()}
        assert set(lengths.values()) == {answer["shown"]}, lengths
        for column in ("x", "y"):
            assert all(0 <= value <= 1 and round(value, 4) == value for value in points[column])
        if answer["state"] != "making":
            return answer
        assert time.monotonic() < until, "still making"
        time.sleep(0.05)


def places(answer: Json) -> dict[str, tuple[float, float]]:
    points = answer["points"]
    return dict(zip(points["id"], zip(points["x"], points["y"], strict=True), strict=True))


def test_both_clients_read_them(some: Path, model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--library", some, "--model", model_folder) as server:
        base = f"http://127.0.0.1:{server.port}"
        with Client(base) as client:
            library, layout = client.library(tags=1), client.map()

        async def awaited() -> tuple[object, int]:
            async with AsyncClient(base) as client:
                return await client.library(tags=1), (await client.map()).total

        assert (library.clips, library.tags[0].tag) == (SOME, "sound")
        assert asyncio.run(awaited()) == (library, layout.total)
        assert len(layout.points.id) == SOME


def test_an_empty_library(tmp_path: Path, model_folder: Path) -> None:
    filled(tmp_path / "none", model_folder, 0)
    with serving(
        tmp_path / "log", "--library", tmp_path / "none", "--model", model_folder
    ) as empty:
        answer = empty.client.get("/v1/map").json()
        assert (answer["state"], answer["total"], answer["shown"]) == ("empty", 0, 0)
        assert empty.client.get("/v1/library").json()["clips"] == 0
        for number in range(2):  # too few for more than a line
            add(empty, noises.noise(1.0, seed=number))
        answer = empty.client.get("/v1/map").json()
        assert (answer["state"], answer["rough"], answer["shown"]) == ("ready", False, 2)


@pytest.mark.slow
def test_a_map_is_made_kept_and_there_after_a_restart(
    some: Path, model_folder: Path, tmp_path: Path
) -> None:
    arguments = ("--library", some, "--model", model_folder)
    with serving(tmp_path / "log", *arguments) as server:
        assert "map.snapshot" not in tree(some)  # nobody has asked
        first = server.client.get("/v1/map").json()
        assert (first["state"], first["rough"], first["shown"]) == ("making", True, SOME)
        answer = ready(server.client)
        assert (answer["state"], answer["rough"], answer["total"]) == ("ready", False, SOME)
        assert places(answer) != places(first)
        assert answer["names"][0] == "sound"
        assert set(answer["points"]["tag"]) == {"sound"}
        assert {tuple(tags) for tags in answer["points"]["tags"]} == {(0, n) for n in range(1, 8)}
        assert not workers(server.process.pid)
        assert server.stop() == 0
    with serving(tmp_path / "log2", *arguments) as server:
        assert server.client.get("/v1/map").json() == answer
        assert not workers(server.process.pid)


@pytest.mark.slow
def test_new_and_changed_sounds(some: Path, model_folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "log", "--library", some, "--model", model_folder) as server:
        old = ready(server.client)
        twin = add(server, noises.noise(1.0, seed=50), tags="new")
        ready(server.client)
        other = add(server, noises.noise(1.0, seed=50), tags="new")
        answer = server.client.get("/v1/map").json()
        assert (answer["state"], answer["rough"], answer["total"]) == ("making", False, SOME + 2)
        near = places(answer)
        assert near[str(other["id"])] == pytest.approx(near[str(twin["id"])], abs=0.1)
        calm = places(ready(server.client))
        moved = [abs(calm[clip_id][0] - place[0]) for clip_id, place in places(old).items()]
        assert sorted(moved)[SOME // 2] < 0.1
        server.client.delete(address(other["id"]))
        gone = server.client.get("/v1/map").json()
        assert str(other["id"]) not in gone["points"]["id"]
        made_of = ready(server.client)["generation"]
        server.client.patch(address(twin["id"]), json={"title": "Only its name"})
        answer = server.client.get("/v1/map").json()  # no sound has changed: nothing is made
        assert (answer["state"], answer["generation"]) == ("ready", made_of + 1)
        assert "Only its name" in answer["points"]["title"]


@pytest.mark.slow
def test_a_crash_is_told_once_and_the_call_still_answers(
    large: Path, model_folder: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "log", "--library", large, "--model", model_folder) as server:
        assert server.client.get("/v1/map").json()["state"] == "making"
        at_work(server.process.pid).kill()
        answer = ready(server.client)
        assert (answer["state"], answer["rough"], answer["shown"]) == ("ready", True, MANY)
        for _ in range(3):
            assert server.client.get("/v1/map").json() == answer
        assert not workers(server.process.pid)
        text = server.log.read_text()
        assert text.count("no map could be made of the library") == 1
        assert "Traceback" not in text
        add(server, noises.noise(1.0, seed=60))
        assert server.client.get("/v1/map").json()["state"] == "making"  # tried again


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_nothing_of_it_outlives_the_service(
    large: Path, model_folder: Path, tmp_path: Path, how: signal.Signals
) -> None:
    with serving(tmp_path / "log", "--library", large, "--model", model_folder) as server:
        server.client.get("/v1/map")
        worker = at_work(server.process.pid)
        server.process.send_signal(how)
        status = server.process.wait(timeout=120)
        worker.wait(timeout=120)
        assert status == (0 if how == signal.SIGTERM else -signal.SIGKILL)
        assert "no map could be made" not in server.log.read_text()
    assert storage.load(large, "any") is None
    assert not list(large.glob("*.tmp"))


@pytest.mark.slow
def test_searches_go_on_while_it_is_made_and_one_is_made_at_a_time(
    large: Path, model_folder: Path, tmp_path: Path
) -> None:
    with serving(tmp_path / "log", "--library", large, "--model", model_folder) as server:
        for _ in range(5):
            assert server.client.get("/v1/map").json()["state"] == "making"
        at_work(server.process.pid)
        for number in range(20):
            assert server.client.get("/v1/search", params={"q": f"dog {number}"}).status_code == 200
            server.client.get("/v1/map")
            assert len(workers(server.process.pid)) <= 1


def test_where_a_map_cannot_be_kept_it_is_shown_as_well(
    some: Path, model_folder: Path, tmp_path: Path
) -> None:
    (some / storage.FILE / "in the way").mkdir(parents=True)
    with serving(tmp_path / "log", "--library", some, "--model", model_folder) as server:
        answer = ready(server.client)
        assert (answer["state"], answer["rough"]) == ("ready", False)
        assert "the map is not kept" in server.log.read_text()
        assert "Traceback" not in server.log.read_text()


def test_in_a_folder_that_can_only_be_read_nothing_of_a_map_is_left(model_folder: Path) -> None:
    with made.public_folder() as folder:
        filled(folder / "library", model_folder, SOME)
        layout = mapped(folder / "library", model_folder)
        (folder / "library" / storage.FILE).unlink()
        (folder / "library").chmod(0o555)
        with made.nobody():
            storage.load(folder / "library", "any")
            with pytest.raises(PermissionError):
                storage.save(layout, folder / "library", "any")
        assert [path.name for path in (folder / "library").glob("*map*")] == []


def mapped(library: Path, model: Path) -> storage.MapLayout:
    """The map that is made of a library, as its file has it."""
    with Library.open(library, load_embedder(model)) as opened:
        library_map = LibraryMap(opened)
        until = time.monotonic() + 120
        while library_map.view().state != "ready":
            assert time.monotonic() < until
            time.sleep(0.05)
        library_map.close()
        loaded = storage.load(library, opened.catalogue.meta("library"))
    assert loaded is not None
    return loaded


def test_a_damaged_map_is_made_anew(some: Path, model_folder: Path, tmp_path: Path) -> None:
    (some / storage.FILE).write_bytes(b"EARMARK\x02 nonsense")
    with serving(tmp_path / "log", "--library", some, "--model", model_folder) as server:
        assert server.client.get("/v1/map").json()["state"] == "making"
        assert ready(server.client)["shown"] == SOME
        assert "laying it out again" in server.log.read_text()


def test_of_a_large_library_an_even_sample_is_shown(
    large: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earmark.index.projection.map.MAX_CLIPS", 200)
    with Library.open(large, load_embedder(model_folder)) as library:
        library_map = LibraryMap(library)
        view = library_map.view()
        library_map.close()
        assert (view.total, len(view.ids), view.positions.shape) == (MANY, 200, (200, 2))
        numbers = sorted(int(title.removeprefix("clip-")) for title in view.titles)
        gaps = [after - before for before, after in itertools.pairwise(numbers)]
        assert max(gaps) < 4 * MANY / 200
        library.remove([view.ids[0]])
        assert len(set(LibraryMap(library).view().ids) & set(view.ids)) == 199
