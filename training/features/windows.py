"""Windows of many clips' frames as tensors: kept on the device when they fit, else streamed there.

Letters: n = all frames, B = batch, T = frames of a window, F = mels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earmark.model.audio.log_mel import loudest_patch
from earmark.training.features.cache import FeatureSet

Item = TypeVar("Item")
Result = TypeVar("Result")

DEVICE_SHARE = 0.5  # of the device's free memory that frames may take
CHUNK_FRAMES = 1 << 20  # copied to the device at a time
BATCHES_AHEAD = 4  # made while the device works


def loudest_starts(features: FeatureSet, size: int) -> npt.NDArray[np.int64]:
    """First frame of each clip's loudest window of `size` frames; 0 for shorter clips."""
    lengths = np.diff(features.offsets)
    starts = np.zeros(len(features), dtype=np.int64)
    for index in np.flatnonzero(lengths > size).tolist():
        starts[index] = loudest_patch(features.clip(index).astype(np.float32), size)
    return starts


class FrameWindows:
    """Windows of `size` frames out of all frames [n, F] float16."""

    def __init__(
        self,
        frames: npt.NDArray[np.float16],
        size: int,
        device: torch.device | None = None,
        share: float = DEVICE_SHARE,
    ) -> None:
        self._frames, self._size = frames, size
        self._device = device or torch.device("cpu")
        self._device_frames: Tensor | None = None
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            if frames.nbytes <= share * free:
                self._device_frames = _copy_to_device(frames, self._device)

    @property
    def on_device(self) -> bool:
        """Whether all frames are in the device's memory."""
        return self._device_frames is not None

    def take(self, starts: npt.NDArray[np.int64]) -> Tensor:
        """The windows [B, T, F] float32 that begin at these frames, on the device."""
        if self._device_frames is not None:
            steps = torch.arange(self._size, device=self._device)
            index = torch.from_numpy(starts).to(self._device, non_blocking=True)
            return self._device_frames[index[:, None] + steps].float()
        stacked = torch.from_numpy(
            np.stack([self._frames[start : start + self._size] for start in starts])
        )
        if self._device.type == "cuda":
            stacked = stacked.pin_memory().to(self._device, non_blocking=True)
        return stacked.float()

    def map_ahead(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Map a function over items; ahead of the consumer where frames are streamed."""
        if self._device.type == "cpu" or self.on_device:
            return map(function, items)
        return map_ahead(function, items, BATCHES_AHEAD)


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map a function over items in a thread that runs up to `ahead` results before the consumer."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(thread.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _copy_to_device(frames: npt.NDArray[np.float16], device: torch.device) -> Tensor:
    """Copy all frames to the device in chunks: they may be a memory-mapped file."""
    copied = torch.empty(frames.shape, dtype=torch.float16, device=device)
    for start in range(0, len(frames), CHUNK_FRAMES):
        # np.array copies: torch warns about a read-only memory map.
        chunk = np.array(frames[start : start + CHUNK_FRAMES])
        copied[start : start + CHUNK_FRAMES] = torch.from_numpy(chunk)
    return copied
