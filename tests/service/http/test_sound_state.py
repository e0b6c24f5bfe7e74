"""Asking for the state of a clip's file holds up nobody else."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import anyio.to_thread
import pytest

from earmark.model.cloud import stores
from earmark.service.http.problems import ProblemError
from earmark.service.http.sound_state import file_state


def test_a_store_that_does_not_answer_leaves_threads_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    awake = threading.Event()

    def hang(*_: object) -> None:
        awake.wait(60)
        raise TimeoutError

    monkeypatch.setattr(stores, "ask", hang)

    async def run() -> list[object]:
        clip = SimpleNamespace(path="s3://bucket/x.wav", id="x")
        asking = [asyncio.ensure_future(file_state(clip)) for _ in range(100)]
        await asyncio.sleep(0.05)
        try:
            await asyncio.wait_for(anyio.to_thread.run_sync(lambda: None), 10)
        finally:
            awake.set()
            answers = await asyncio.gather(*asking, return_exceptions=True)
        return answers

    answers = asyncio.run(run())
    assert {type(answer) for answer in answers} == {ProblemError}
