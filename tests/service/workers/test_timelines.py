"""Timelines are made once, and a sound is heard once for all tags; what is kept is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model import zero_shot
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.decode_pool import Block, DecodePool
from earmark.service.http.problems import ProblemError
from earmark.service.workers import timelines
from earmark.service.workers.timelines import Timelines
from tests.index.made import write_sounds


@pytest.fixture(scope="module")
def library(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("timelines")
    with Library.open(folder / "library", load_embedder(model_folder), create=True) as library:
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
        with DecodePool(library.embedder.front_end, 1) as readers:
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


class Gated(DecodePool):
    """Reads no further than a sound's first block before it is let."""

    def __init__(self, library: Library) -> None:
        super().__init__(library.embedder.log_mel, 1)
        self.begun, self.go, self.count = threading.Event(), threading.Event(), 0

    def read(self, *arguments: Any, **options: Any) -> Iterator[Any]:  # type: ignore[override]
        self.count += 1
        for message in super().read(*arguments, **options):
            if isinstance(message, Block):
                self.begun.set()
                assert self.go.wait(60)
            yield message


async def begin(readers: Gated, *coroutines: Any) -> list[asyncio.Task[bytes]]:
    """These requests, and the first of their sounds is being read."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    assert await asyncio.to_thread(readers.begun.wait, 60)
    return tasks


def test_a_sound_that_nobody_waits_for_is_given_up(library: Library) -> None:
    async def run() -> None:
        with Gated(library) as readers:
            made = Timelines(readers, library.embedder)
            tasks = await begin(readers, *(ask(made, library, 0, tag) for tag in ("dog", "sea")))
            next_one = asyncio.create_task(ask(made, library, 1))
            for task in tasks:
                task.cancel()
            done, _ = await asyncio.wait(tasks)
            assert all(task.cancelled() for task in done)
            assert made._waiting == 1
            readers.go.set()
            assert await next_one
            assert len(made._heard) == 1

    asyncio.run(run())


def test_a_sound_that_another_waits_for_is_not_given_up(library: Library) -> None:
    async def run() -> None:
        with Gated(library) as readers:
            made = Timelines(readers, library.embedder)
            first, other = await begin(
                readers, ask(made, library, 0, "dog"), ask(made, library, 0, "sea")
            )
            first.cancel()
            await asyncio.wait({first})
            readers.go.set()
            assert await other
            assert readers.count == 1

    asyncio.run(run())


def test_what_is_kept_is_bounded(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timelines, "MAX_HEARD_BYTES", 10)
    monkeypatch.setattr(timelines, "MAX_BODY_BYTES", 10)

    async def run() -> None:
        with DecodePool(library.embedder.front_end, 1) as readers:
            made = Timelines(readers, library.embedder)
            assert await ask(made, library, 0) == await ask(made, library, 0)
            assert (len(made._heard), len(made._bodies)) == (0, 0)

    asyncio.run(run())


def test_too_many_wait_and_too_long_a_sound_ends(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        with DecodePool(library.embedder.front_end, 1) as readers:
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
