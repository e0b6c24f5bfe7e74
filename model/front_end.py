"""What an encoder hears with: samples → features of windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from earmark.model.core.arrays import Array

# Features of windows [n, …], and where the windows start [n], in seconds.
Windows = tuple[Array, npt.NDArray[np.float64]]


class FrontEnd(Protocol):
    """Computes features where sounds are decoded, in processes that import no torch: it can be
    pickled. Blocks of samples of any size give the same windows."""

    @property
    def sample_rate(self) -> int:
        """Of the samples that it takes, in Hz."""

    @property
    def window_seconds(self) -> float:
        """Length of a window."""

    def windows(self, blocks: Iterable[Array], size: int) -> Iterator[Windows]:
        """Blocks of samples of one sound → blocks of at most `size` windows."""
