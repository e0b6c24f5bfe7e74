"""Where and how a run computes: device, precision, compilation, processes."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass, field
from typing import Literal

import torch

from earmark.model.core.errors import ConfigError
from earmark.model.encoders.device import select_device
from earmark.training.loop.distributed import ProcessGroup

Precision = Literal["float32", "bfloat16"]

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


@dataclass(frozen=True)
class DeviceSettings:
    """How a run computes.

    `precision`: None is bfloat16 on a GPU that supports it, else float32. `compile`: torch compiles
    the training step; it takes minutes at first and makes steps on a GPU faster.
    """

    device: str = "cpu"
    precision: Precision | None = None
    compile: bool = False
    processes: ProcessGroup = field(default_factory=ProcessGroup)

    def torch_device(self) -> torch.device:
        """The device. Raises ConfigError when the machine does not have it."""
        return select_device(self.device)

    def check(self) -> None:
        """Raise ConfigError for a device or a precision that the machine does not have."""
        self.torch_device()
        if self.precision is not None and self.precision not in PRECISIONS:
            raise ConfigError(
                f"precision: expected {' or '.join(PRECISIONS)}, got {self.precision!r}"
            )

    @property
    def mixed_precision(self) -> bool:
        """Whether the networks run in mixed precision."""
        if self.precision is None:
            on_gpu = self.torch_device().type == "cuda"
            return on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bfloat16"


def keep_freed_memory() -> None:
    """Have glibc keep freed memory: a training step frees and allocates the same blocks again.

    Returned to the system each time, they cost page faults that are a third of a step on a CPU.
    Does nothing without glibc.
    """
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
