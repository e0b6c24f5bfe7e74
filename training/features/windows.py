"""Windows of many clips' frames as tensors: on the device when they fit, else streamed there."""

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

Given = TypeVar("Given")
Made = TypeVar("Made")

DEVICE_SHARE = 0.5  # of the device's free memory that frames may take
CHUNK = 1 << 20  # frames moved at a time
AHEAD = 4  # batches made while the device works


def loudest_starts(features: FeatureSet, size: int) -> npt.NDArray[np.int64]:
    """First frame of each clip's loudest window of `size` frames; 0 where there is none."""
    lengths = np.diff(features.offsets)
    starts = np.zeros(len(features), dtype=np.int64)
    for number in np.flatnonzero(lengths > size).tolist():
        starts[number] = loudest_patch(features.clip(number).astype(np.float32), size)
    return starts


class Windows:
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
        self._resident: Tensor | None = None
        if self._device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self._device)
            if frames.nbytes <= share * free:
                self._resident = _moved(frames, self._device)

    @property
    def resident(self) -> bool:
        """Whether the frames lie on the device."""
        return self._resident is not None

    def take(self, starts: npt.NDArray[np.int64]) -> Tensor:
        """The windows [B, T, F] float32 that begin at these frames, on the device."""
        if self._resident is not None:
            steps = torch.arange(self._size, device=self._device)
            index = torch.from_numpy(starts).to(self._device, non_blocking=True)
            return self._resident[index[:, None] + steps].float()
        stacked = torch.from_numpy(
            np.stack([self._frames[start : start + self._size] for start in starts])
        )
        if self._device.type == "cuda":
            stacked = stacked.pin_memory().to(self._device, non_blocking=True)
        return stacked.float()

    def ahead(self, make: Callable[[Given], Made], of: Iterable[Given]) -> Iterator[Made]:
        """`make` of each in turn; ahead of their use where frames are streamed to a device."""
        if self._device.type == "cpu" or self.resident:
            return map(make, of)
        return made_ahead(make, of, AHEAD)


def made_ahead(make: Callable[[Given], Made], of: Iterable[Given], ahead: int) -> Iterator[Made]:
    """`make` of each in turn, by a thread that is up to `ahead` of the consumer."""
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[Made]] = deque()
        for each in of:
            waiting.append(thread.submit(make, each))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _moved(frames: npt.NDArray[np.float16], device: torch.device) -> Tensor:
    """All frames on the device, a chunk at a time: they may lie in a file."""
    moved = torch.empty(frames.shape, dtype=torch.float16, device=device)
    for start in range(0, len(frames), CHUNK):
        part = np.array(frames[start : start + CHUNK])  # a copy: the file may only be read
        moved[start : start + CHUNK] = torch.from_numpy(part)
    return moved
