"""Where and how a run computes: device, precision, compilation, processes."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass, field
from typing import Literal

import torch

from earmark.model.core.errors import ConfigError
from earmark.model.embedder import select_device
from earmark.training.loop.distributed import Ranks

Precision = Literal["float32", "bfloat16"]

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


@dataclass(frozen=True)
class Execution:
    """`precision`: None is bfloat16 on a GPU that has it, else float32.

    `compile`: have torch compile the training step; minutes first, faster after, on a GPU.
    """

    device: str = "cpu"
    precision: Precision | None = None
    compile: bool = False
    ranks: Ranks = field(default_factory=Ranks)

    def place(self) -> torch.device:
        """The device. Raises ConfigError when the machine has none such."""
        return select_device(self.device)

    def check(self) -> None:
        """Raise ConfigError for a device or a precision that cannot be had."""
        self.place()
        if self.precision is not None and self.precision not in PRECISIONS:
            raise ConfigError(
                f"precision: expected {' or '.join(PRECISIONS)}, got {self.precision!r}"
            )

    @property
    def mixed(self) -> bool:
        """Whether the networks run in mixed precision."""
        if self.precision is None:
            on_gpu = self.place().type == "cuda"
            return on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        return self.precision == "bfloat16"


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: a training step frees and takes the same blocks again.

    Given back to the system each time, they cost page faults that are a third of a step on a
    CPU. For processes that train; elsewhere than on glibc nothing happens.
    """
    name = ctypes.util.find_library("c")
    mallopt = getattr(ctypes.CDLL(name), "mallopt", None) if name else None
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
