"""What ends amid the work: the service itself, the disk's room, a sound among good ones."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from tests.index.made import small_disk
from tests.service import sounds
from tests.service.library_edits import address
from tests.service.server_process import Server, serving

AT_ONCE = 16


def post(server: Server, path: str, sound: bytes, **data: str) -> httpx.Response:
    return httpx.post(
        f"{server.client.base_url}{path}", files={"file": ("a.wav", sound)}, data=data, timeout=60
    )


def test_one_corrupt_sound_among_good_ones_fails_alone(server: Server) -> None:
    good = [sounds.noise(0.5, seed=number) for number in range(AT_ONCE)]
    alone = [server.upload(sound).json() for sound in good]
    mixed = [*good[:7], good[7][:30], *good[8:]]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda sound: post(server, "/v1/tags", sound), mixed))
    assert [answer.status_code for answer in answers] == [200] * 7 + [422] + [200] * 8
    for number, answer in enumerate(answers):
        if number != 7:
            tags = {tag["tag"]: tag["score"] for tag in answer.json()["tags"]}
            for tag in alone[number]["tags"][:3]:
                assert abs(tags[tag["tag"]] - tag["score"]) < 1e-4


@pytest.mark.slow
def test_killed_amid_uploads_nothing_acknowledged_is_lost(
    tmp_path: Path, model_folder: Path
) -> None:
    folder = tmp_path / "library"
    Library.open(folder, load_embedder(model_folder), create=True).close()
    arguments = ("--library", folder, "--model", model_folder)
    known: list[str] = []

    def uploading(server: Server, seed: int) -> None:
        try:
            while True:
                seed += 10
                answer = post(server, "/v1/clips", sounds.noise(0.3, seed=seed))
                if answer.status_code == 201:
                    known.append(answer.json()["id"])
        except httpx.TransportError:
            return  # it was killed

    with serving(tmp_path / "log", *arguments) as server:
        threads = [threading.Thread(target=uploading, args=(server, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while len(known) < 12:
            assert time.monotonic() < until
            time.sleep(0.01)
        server.process.kill()
        for thread in threads:
            thread.join()
    with serving(tmp_path / "log", *arguments) as server:
        for clip_id in known:
            assert server.client.get(f"{address(clip_id)}/audio").status_code == 200
        total = server.client.get("/v1/clips?k=1").json()["total"]
        assert total >= len(known)
        files = [file for file in (folder / "uploads").rglob("*.wav") if file.is_file()]
        assert len(files) == total  # no orphan


@pytest.mark.slow
def test_a_full_disk_refuses_and_serves_on(tmp_path: Path, model_folder: Path) -> None:
    with small_disk(3_000) as disk:
        Library.open(disk / "library", load_embedder(model_folder), create=True).close()
        arguments = ("--library", disk / "library", "--model", model_folder)
        with serving(tmp_path / "log", *arguments) as server:
            assert post(server, "/v1/clips", sounds.noise(0.3)).status_code == 201
            long = sounds.noise(90.0)
            for path, data in (("/v1/clips", {}), ("/v1/feedback", {"accepted": "rain"})):
                server.problem(post(server, path, long, **data), 503, "cannot be read or written")
            assert server.upload(sounds.noise(0.3)).status_code == 200
            assert server.client.get("/v1/search?q=dog").status_code == 200
            assert post(server, "/v1/clips", sounds.noise(0.3, seed=1)).status_code == 201
            assert server.stop() == 0
        assert "Traceback" not in (tmp_path / "log").read_text()
