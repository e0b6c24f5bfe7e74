"""Work that several wait for: done once, its error told to all, and dropped when all have left."""

from __future__ import annotations

import asyncio

import pytest

from earmark.service.workers.shared_work import SharedWork


class Work:
    """Work that ends when it is let; `starts` and `ends`: how often it did."""

    def __init__(self) -> None:
        self.go, self.starts, self.ends = asyncio.Event(), 0, 0
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.starts += 1
        await self.go.wait()
        self.ends += 1
        if self.error is not None:
            raise self.error
        return self.starts


async def waiting(shared: SharedWork[int], work: Work, *keys: str) -> list[asyncio.Task[int]]:
    """Tasks that wait for the work of these keys."""
    tasks = [asyncio.create_task(shared.get(key, work)) for key in keys]
    await asyncio.sleep(0.01)
    return tasks


def test_it_is_done_once_for_all() -> None:
    async def run() -> None:
        shared, work = SharedWork[int](), Work()
        tasks = await waiting(shared, work, "a", "a", "b")
        assert work.starts == 2
        tasks[0].cancel()  # the one that began it
        work.go.set()
        assert await asyncio.gather(*tasks[1:]) == [2, 2]
        assert await shared.get("a", work) == 3

    asyncio.run(run())


def test_it_is_dropped_when_all_have_left() -> None:
    async def run() -> None:
        shared, work = SharedWork[int](), Work()
        for task in await waiting(shared, work, "a", "a"):
            task.cancel()
        (again,) = await waiting(shared, work, "a")
        work.go.set()
        assert await again == 2
        assert work.ends == 1

    asyncio.run(run())


def test_all_are_told_its_error() -> None:
    async def run() -> None:
        shared, work = SharedWork[int](), Work()
        work.error = ValueError("no")
        tasks = await waiting(shared, work, "a", "a")
        work.go.set()
        for task in tasks:
            with pytest.raises(ValueError, match="no"):
                await task

    asyncio.run(run())
