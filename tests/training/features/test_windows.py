"""Windows of frames: the loudest ones, taken by their starts, and made ahead of their use."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.log_mel import SEARCH_STEP, loudest_patch
from earmark.training.features.cache import FeatureSet
from earmark.training.features.windows import FrameWindows, loudest_starts, map_ahead

MELS = 5


def clips(*lengths: int, seed: int = 0) -> FeatureSet:
    """Random frames of clips of these lengths."""
    generator = np.random.default_rng(seed)
    frames = generator.normal(-5, 3, (sum(lengths), MELS)).astype(np.float16)
    return FeatureSet(frames, np.cumsum([0, *lengths]).astype(np.int64), {})


def frames_of(count: int) -> np.ndarray:
    return np.arange(count * MELS, dtype=np.float16).reshape(count, MELS)


class TestLoudest:
    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.integers(0, 90), max_size=8), st.integers(1, 30), st.integers(0, 99))
    def test_clip_by_clip(self, lengths: list[int], size: int, seed: int) -> None:
        features = clips(*lengths, seed=seed)
        starts = loudest_starts(features, size)
        assert starts.dtype == np.int64
        assert starts.tolist() == [
            loudest_patch(features.clip(number).astype(np.float32), size) if length else 0
            for number, length in enumerate(lengths)
        ]
        whole = [number for number, length in enumerate(lengths) if length >= size]
        assert all(starts[number] + size <= lengths[number] for number in whole)

    def test_a_loud_stretch_is_found_in_its_clip(self) -> None:
        features = clips(100, 100, 100)
        loud = 4 * SEARCH_STEP
        features.frames[100 + loud : 100 + loud + 20] = 9
        starts = loudest_starts(features, 20)
        assert starts[1] == loud
        assert starts[0] == loudest_patch(features.clip(0).astype(np.float32), 20)

    def test_clips_without_frames_or_of_just_the_size_begin_at_0(self) -> None:
        assert loudest_starts(clips(0, 40, 0, 39, 0), 40).tolist() == [0] * 5
        assert loudest_starts(clips(), 40).tolist() == []


class TestWindows:
    @settings(max_examples=50, deadline=None)
    @given(st.integers(1, 12), st.lists(st.integers(0, 28), min_size=1, max_size=9))
    def test_a_window_is_a_slice(self, size: int, starts: list[int]) -> None:
        frames = frames_of(40)
        taken = FrameWindows(frames, size).take(np.array(starts))
        assert taken.dtype == torch.float32
        expected = np.stack([frames[start : start + size] for start in starts])
        np.testing.assert_array_equal(taken.numpy(), expected.astype(np.float32))

    def test_frames_may_lie_in_a_file_and_are_not_changed(self, tmp_path: Path) -> None:
        np.save(tmp_path / "frames.npy", frames_of(40))
        mapped = np.load(tmp_path / "frames.npy", mmap_mode="r")
        starts = np.array([3, 32])
        taken = FrameWindows(mapped, 8).take(starts)
        np.testing.assert_array_equal(taken.numpy(), FrameWindows(frames_of(40), 8).take(starts))
        taken.fill_(0)
        np.testing.assert_array_equal(mapped, frames_of(40))

    def test_on_the_cpu_nothing_runs_ahead(self) -> None:
        windows, calls = FrameWindows(frames_of(10), 2), []
        assert not windows.on_device
        batches = windows.map_ahead(lambda number: calls.append(number) or number, range(3))
        assert calls == []
        assert next(batches) == 0
        assert calls == [0]
        assert list(batches) == [1, 2]

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize("share", [0.5, 0.0])
    def test_a_gpu_gives_the_same(self, share: float) -> None:
        frames, starts = frames_of(40), np.array([0, 31, 7])
        windows = FrameWindows(frames, 9, torch.device("cuda"), share)
        assert windows.on_device == bool(share)
        taken = list(windows.map_ahead(windows.take, [starts, starts[::-1].copy()]))
        assert all(batch.device.type == "cuda" for batch in taken)
        for batch, expected in zip(taken, (starts, starts[::-1]), strict=True):
            plain = FrameWindows(frames, 9).take(expected)
            np.testing.assert_array_equal(batch.cpu().numpy(), plain.numpy())


def working() -> set[threading.Thread]:
    """Threads of a pool that are alive."""
    threads = threading.enumerate()
    return {thread for thread in threads if thread.name.startswith("ThreadPoolExecutor")}


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = working()
    yield
    assert working() == before


class TestAhead:
    @given(st.lists(st.integers(), max_size=20), st.integers(0, 6))
    @settings(max_examples=40, deadline=None)
    def test_all_are_made_in_order(self, numbers: list[int], ahead: int) -> None:
        assert list(map_ahead(lambda number: -number, numbers, ahead)) == [-n for n in numbers]

    @pytest.mark.parametrize("ahead", [0, 1, 4])
    def test_it_runs_ahead_only_so_far(self, ahead: int) -> None:
        calls: list[int] = []
        batches = map_ahead(calls.append, range(20), ahead)
        for used, _ in enumerate(batches, start=1):
            deadline = time.monotonic() + 60
            while len(calls) < min(20, used + ahead) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(0.002)
            assert len(calls) == min(20, used + ahead)  # it does get there, and no further
        assert calls == list(range(20))

    def test_it_works_while_its_consumer_does(self) -> None:
        """The next one is made before it is asked for, by another thread."""
        second = threading.Event()

        def make(number: int) -> threading.Thread:
            if number == 1:
                second.set()
            return threading.current_thread()

        batches = map_ahead(make, range(3), 1)
        assert next(batches) is not threading.current_thread()
        assert second.wait(60)
        assert len(list(batches)) == 2

    def test_one_is_made_at_a_time(self) -> None:
        busy = threading.Lock()

        def make(number: int) -> int:
            assert busy.acquire(blocking=False), "two at once"
            time.sleep(0.002)
            busy.release()
            return number

        assert list(map_ahead(make, range(12), 4)) == list(range(12))

    def test_an_exception_comes_where_its_batch_would(self) -> None:
        batches = map_ahead(lambda number: 12 // (3 - number), range(10), 4)
        assert [next(batches) for _ in range(3)] == [4, 6, 12]
        with pytest.raises(ZeroDivisionError):
            next(batches)
        assert list(batches) == []

    def test_an_exception_of_what_is_given_comes_through(self) -> None:
        def given_numbers() -> Iterator[int]:
            yield 1
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            list(map_ahead(lambda number: number, given_numbers(), 4))

    def test_a_consumer_may_stop_early(self) -> None:
        calls: list[int] = []
        batches = map_ahead(lambda number: calls.append(number) or number, range(1000), 3)
        assert [next(batches), next(batches)] == [0, 1]
        batches.close()
        assert len(calls) <= 5
        assert list(batches) == []

    def test_a_loop_that_raises_leaves_no_thread(self) -> None:
        with pytest.raises(KeyboardInterrupt):
            for number in map_ahead(lambda number: number, range(1000), 3):
                if number == 2:
                    raise KeyboardInterrupt
