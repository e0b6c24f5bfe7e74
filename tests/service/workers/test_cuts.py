"""Cutting: its processes are free again, whatever becomes of the file and its client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.audio.stretch import Stretch
from earmark.model.core.errors import AudioError
from earmark.service.http.problems import ProblemError
from earmark.service.workers import cuts as module
from earmark.service.workers.cuts import Cuts, WantedCut
from tests.model.tiny import noise, tiny_config, write
from tests.processes import children

RATE = 8_000


@pytest.fixture(scope="module")
def long_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes."""
    folder = tmp_path_factory.mktemp("cuts")
    return write(folder / "long.flac", np.tile(noise(10, RATE), 60), RATE)


def wanted(path: Path, start: float = 0.0, end: float = 600.0) -> WantedCut:
    return WantedCut(Stretch(path, start, end), "wav", 100_000)


def run(work: Callable[[Cuts], Awaitable[None]]) -> None:
    """Run what uses cuts in an event loop; in the end no process is at work."""
    features = tiny_config("starter").features

    async def main() -> None:
        cuts = Cuts(LogMel(features, mel_filters(features)))
        try:
            await work(cuts)
        finally:
            cuts.close()

    asyncio.run(main())
    assert children("earmark.model.inference.decode_pool") == []


def test_more_at_once_than_processes_wait(
    long_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CUTS", 1)

    async def work(cuts: Cuts) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(cuts.open(wanted(long_sound), "a"))  # not read on
            with monkeypatch.context() as brief:
                brief.setattr(module, "WAIT_SECONDS", 0.01)
                with pytest.raises(ProblemError, match="other sounds are being cut"):
                    await stack.enter_async_context(cuts.open(wanted(long_sound), "b"))
                brief.setattr(module, "MAX_WAITING", 0)
                with pytest.raises(ProblemError, match="0 cuts are waiting"):
                    await stack.enter_async_context(cuts.open(wanted(long_sound), "b"))
        async with cuts.open(wanted(long_sound, 1.0, 2.0), "a") as cut:
            assert sum([len(data) async for data in cut.content()]) == cut.size == 16_044

    run(work)


def test_each_client_has_some_at_once(long_sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)

    async def work(cuts: Cuts) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(module.MAX_OF_CLIENT):
                await stack.enter_async_context(cuts.open(wanted(long_sound), "a"))
            with pytest.raises(ProblemError, match="other sounds are being cut"):
                await stack.enter_async_context(cuts.open(wanted(long_sound), "a"))
            monkeypatch.setattr(module, "MAX_PRESENT_OF_CLIENT", module.MAX_OF_CLIENT)
            with pytest.raises(ProblemError, match="2 cuts for this client are in work"):
                await stack.enter_async_context(cuts.open(wanted(long_sound), "a"))
            monkeypatch.setattr(module, "WAIT_SECONDS", 30.0)
            async with cuts.open(wanted(long_sound, 1.0, 2.0), "b") as cut:
                assert cut.size == 16_044
        async with cuts.open(wanted(long_sound, 1.0, 2.0), "a") as cut:
            assert cut.size == 16_044
        assert cuts._clients == {}

    run(work)


def test_what_decodes_much_leaves_processes_to_others(
    long_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONG_SECONDS", 300.0)

    async def work(cuts: Cuts) -> None:
        async with AsyncExitStack() as stack:
            for client in ("a", "b"):  # not read on
                await stack.enter_async_context(cuts.open(wanted(long_sound, 310, 400), client))
            with monkeypatch.context() as brief:
                brief.setattr(module, "WAIT_SECONDS", 0.01)
                with pytest.raises(ProblemError, match="other sounds are being cut"):
                    await stack.enter_async_context(cuts.open(wanted(long_sound, 310, 400), "c"))
            for client in ("a", "c"):
                async with cuts.open(wanted(long_sound, 1.0, 2.0), client) as cut:
                    assert cut.size == 16_044

    run(work)


def test_a_task_that_is_cancelled_leaves_no_process_at_work(
    long_sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CUTS", 1)

    async def read(cuts: Cuts, begun: asyncio.Event) -> None:
        async with cuts.open(wanted(long_sound), "a") as cut:
            async for _ in cut.content():
                begun.set()

    async def work(cuts: Cuts) -> None:
        for _ in range(2):
            begun = asyncio.Event()
            task = asyncio.create_task(read(cuts, begun))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with cuts.open(wanted(long_sound, 1.0, 2.0), "a") as cut:
            assert cut.size == 16_044

    run(work)


def test_sounds_that_cannot_be_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    short = write(tmp_path / "short.wav", noise(1.0, RATE), RATE)

    async def work(cuts: Cuts) -> None:
        for path in (tmp_path / "text.wav", tmp_path / "missing.wav"):
            with pytest.raises(AudioError, match=r"^sound: "):
                async with cuts.open(wanted(path), "a"):
                    pass
        async with cuts.open(wanted(short, 0.5, 3.0), "a") as cut:  # its file is shorter by now
            with pytest.raises(AudioError, match="expected 20000 samples in the stretch, got 4000"):
                assert [data async for data in cut.content()]
        monkeypatch.setattr(module, "FIRST_SECONDS", 0.0)
        with pytest.raises(ProblemError, match="the stretch was not reached within 0 s"):
            async with cuts.open(wanted(short), "a"):
                pass

    run(work)
