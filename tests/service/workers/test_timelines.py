"""Timelines are made once, and a sound is heard once for all tags; what is kept is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model import zero_shot
from earmark.model.embedder import Embedder
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.http.problems import ProblemError
from earmark.service.workers import timelines
from earmark.service.workers.timelines import Timelines
from tests.index.made import write_sounds


@pytest.fixture(scope="module")
def library(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("timelines")
    with Library.open(folder / "library", Embedder.load(model_folder), create=True) as library:
        add(library, write_sounds(folder / "sounds", 2))
        yield library


async def ask(made: Timelines, library: Library, number: int, *tags: str) -> bytes:
    found = list(library.catalogue.clips())[number]
    labels = None
    if tags:
        labels = zero_shot.embed_labels(library.embedder, zero_shot.plain_prompts(tags))
    return await made.get(found, Path(found.path).stat(), labels, "csv")


def test_a_sound_is_heard_once_for_all_tags(library: Library) -> None:
    async def run() -> None:
        with DecodePool(library.embedder.log_mel, 1) as readers:
            made = Timelines(readers, library.embedder)
            first = await ask(made, library, 0, "dog")
            [heard] = made._heard.values()
            bodies = await asyncio.gather(*(ask(made, library, 0, "dog") for _ in range(3)))
            assert bodies == [first] * 3
            await ask(made, library, 0)
            assert [each is heard for each in made._heard.values()] == [True]
            assert len(made._bodies) == 2
            await ask(made, library, 1)
            assert len(made._heard) == 2

    asyncio.run(run())


def test_what_is_kept_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MAX_HEARD_BYTES", 10)
    monkeypatch.setattr(timelines, "MAX_BODY_BYTES", 10)

    async def run() -> None:
        with DecodePool(library.embedder.log_mel, 1) as readers:
            made = Timelines(readers, library.embedder)
            assert await ask(made, library, 0) == await ask(made, library, 0)
            assert (len(made._heard), len(made._bodies)) == (0, 0)

    asyncio.run(run())


def test_too_many_wait_and_too_long_a_sound_ends(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        with DecodePool(library.embedder.log_mel, 1) as readers:
            made = Timelines(readers, library.embedder)
            made._waiting = timelines.MAX_WAITING
            with pytest.raises(ProblemError, match="waiting") as refused:
                await ask(made, library, 0)
            assert refused.value.name == "busy"
            made._waiting = 0
            monkeypatch.setattr(timelines, "DEADLINE_SECONDS", 0.0)
            with pytest.raises(ProblemError, match="within 0 s") as late:
                await ask(made, library, 0)
            assert late.value.name == "deadline"

    asyncio.run(run())
