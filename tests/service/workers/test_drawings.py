"""Drawings: where the sound goes away before it is read, and what holds up whom."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.audio.stretch import Stretch
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.app import create_app
from earmark.service.settings import Settings
from earmark.service.workers import drawings as module
from earmark.service.workers.drawings import Drawings
from tests.index.made import write_sounds


def test_a_sound_removed_before_it_is_read_is_gone(model_folder: Path, tmp_path: Path) -> None:
    [sound] = write_sounds(tmp_path / "sounds", 1)
    folder = tmp_path / "library"
    with Library.open(folder, load_embedder(model_folder), create=True) as library:
        add(library, [sound])
        [clip] = library.catalogue.clips()

    async def answer() -> httpx.Response:
        app = create_app(Settings(model=model_folder, library=folder))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            drawings = app.state.services.drawings
            async with drawings._turn:  # another sound is being read
                asked = asyncio.create_task(client.get(f"/v1/clips/{clip.id}/waveform"))
                while not drawings._waiting:
                    await asyncio.sleep(0.01)
                sound.unlink()
            return await asked

    response = asyncio.run(answer())
    assert response.status_code == 410, response.text
    assert response.json()["type"].endswith("sound-gone")


def test_a_stretch_that_decodes_much_waits_with_the_long_ones(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [sound] = write_sounds(tmp_path / "sounds", 1)
    monkeypatch.setattr(module, "LONG_SECONDS", 0.1)
    with Library.open(tmp_path / "library", load_embedder(model_folder), create=True) as library:
        add(library, [sound])
        [clip] = library.catalogue.clips()
        log_mel = library.embedder.log_mel

    async def run() -> None:
        with DecodePool(log_mel, 2) as readers:
            drawings = Drawings(readers)

            async def draw(start: float) -> bytes:
                stretch = Stretch(sound, start, 0.25)
                return await drawings.waveform(clip, sound.stat(), 10, stretch)

            async with drawings._turn:  # which short ones wait for
                assert await draw(0.05)
                short = asyncio.create_task(draw(0.2))
                await asyncio.sleep(0.01)
                assert drawings._waiting == 1
            assert await short

    asyncio.run(run())
