"""Files that are sent while they are made: clients must keep a pace."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Message

from earmark.service.http import cut_response as module
from earmark.service.http.cut_response import PART, CutResponse
from earmark.service.http.streaming import BREAK_OFF
from earmark.service.observability.metrics import Metrics

PARTS = 30


class MadeFile:
    """A file of many parts."""

    size: int | None = PARTS * PART

    async def content(self) -> AsyncIterator[bytes]:
        """Its bytes, in two pieces."""
        for _ in range(2):
            yield bytes(PARTS * PART // 2)


def sent(path: Path, receive_part: Callable[[], Awaitable[object]]) -> tuple[int, bool, bool]:
    """How many bytes are sent to a client, whether the answer is complete, and whether it was
    broken off."""
    bodies: list[Message] = []
    broken_off: list[None] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[MadeFile]:
        yield MadeFile()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await receive_part()
            bodies.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    scope = {
        "type": "http",
        "method": "GET",
        "headers": [],
        "extensions": {BREAK_OFF: {"call": lambda: broken_off.append(None)}},
    }
    answer = CutResponse(opened, os.stat(path), '"tag"', ("Rain", ".wav"), Metrics())  # noqa: PTH116
    asyncio.run(answer(scope, receive, send))
    size = sum(len(message["body"]) for message in bodies)
    return size, not bodies[-1]["more_body"] if bodies else False, bool(broken_off)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that it is cut out of."""
    (tmp_path / "rain.wav").touch()
    return tmp_path / "rain.wav"


def test_a_client_that_keeps_the_pace_gets_it_all(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOWEST", 20 * PART)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 5.0)
    assert sent(file, lambda: asyncio.sleep(0.01)) == (PARTS * PART, True, False)


@pytest.mark.parametrize("seconds", [0.03, 60.0])
def test_a_client_that_is_too_slow_is_cut_off_meanwhile(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    seconds: float,
) -> None:
    monkeypatch.setattr(module, "SLOWEST", 1e9)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    size, is_complete, is_broken_off = sent(file, lambda: asyncio.sleep(seconds))
    assert (is_complete, is_broken_off) == (False, True)
    assert size <= 5 * PART
    assert "a stretch is broken off: its client receives less than" in caplog.text
