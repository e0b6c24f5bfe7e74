"""Channels → mono: the mean; where it cancels the sound out, the louder channel.

Channels out of phase cancel each other in the mean. Each second of a sound is looked at: where the
mean keeps less than half of the energy that it keeps of unrelated channels, the loudest channel
stands for all. Seconds count from the start of the sound, so that however it is read, it is heard
the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

MIN_KEPT = 0.5  # of the energy that the mean keeps of unrelated channels
LOUDER = 2.0  # times the energy: then another channel takes over


def mix_down(blocks: Iterator[Samples], sample_rate: int) -> Iterator[Samples]:
    """Blocks [n, channels] → mono blocks [n]; the number of channels may change."""
    rest: Samples | None = None  # less than a second of several channels
    chosen: int | None = None
    for block in blocks:
        if rest is not None and rest.shape[1] != block.shape[1]:
            mono, chosen = _mix(rest, chosen)
            yield mono
            rest = None
        if block.shape[1] == 1:
            yield np.ascontiguousarray(block[:, 0])
            continue
        samples = block if rest is None else np.concatenate([rest, block])
        whole = len(samples) - len(samples) % sample_rate
        mixed = []
        for start in range(0, whole, sample_rate):
            mono, chosen = _mix(samples[start : start + sample_rate], chosen)
            mixed.append(mono)
        if mixed:
            yield np.concatenate(mixed)
        rest = samples[whole:] if whole < len(samples) else None
    if rest is not None:
        yield _mix(rest, chosen)[0]


def _mix(second: Samples, chosen: int | None) -> tuple[Samples, int | None]:
    """One second, at most, as mono, and the channel that stands for it, None for the mean."""
    # Of two channels the same numbers, in a third of the time.
    is_pair = second.shape[1] == 2
    mean = (second[:, 0] + second[:, 1]) * np.float32(0.5) if is_pair else second.mean(axis=1)
    flat = second.reshape(-1)
    # Of c unrelated channels, the mean keeps the share 1 / c of their mean energy.
    cancels = float(mean @ mean) * second.shape[1] ** 2 < MIN_KEPT * float(flat @ flat)
    if not cancels:
        return mean, None
    energies = np.einsum("nc,nc->c", second, second)
    loudest = int(energies.argmax())
    if chosen is None or chosen >= len(energies) or energies[loudest] > LOUDER * energies[chosen]:
        chosen = loudest
    return np.ascontiguousarray(second[:, chosen]), chosen
