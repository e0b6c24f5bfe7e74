"""Work that several requests wait for at a time is done once, as long as one of them waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


@dataclass
class _Work(Generic[Result]):
    """Work in progress, and how many wait for it."""

    task: asyncio.Task[Result]
    waiting: int = 0


class SharedWork(Generic[Result]):
    """Work by its key, for one event loop. What nobody waits for any more is cancelled."""

    def __init__(self) -> None:
        self._works: dict[Hashable, _Work[Result]] = {}

    async def get(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of the work with this key, which `start` begins where none is in progress.

        Raises what the work raises.
        """
        work = self._works.get(key)
        if work is None:
            work = self._works[key] = _Work(asyncio.create_task(start()))
            work.task.add_done_callback(_retrieve_error)
        work.waiting += 1
        try:
            return await asyncio.shield(work.task)
        finally:
            work.waiting -= 1
            if not work.waiting:
                work.task.cancel()  # without effect on work that is done
                del self._works[key]


def _retrieve_error(task: asyncio.Task[Any]) -> None:
    """asyncio must not complain that nobody retrieved it: those who wait may all have left."""
    if not task.cancelled():
        task.exception()
