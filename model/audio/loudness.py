"""How loud a sound is: integrated loudness in LUFS, of ITU-R BS.1770, measured as it is decoded.

The samples pass the K-weighting filters; blocks of 0.4 s begin every 0.1 s; those below -70 LUFS
are left out, then those 10 LU below the rest. The filters and blocks are those of pyloudnorm,
which needs a whole sound at once and several times as long. A sound shorter than a block is
measured as one block of its own length. Channels are left, right, centre, left and right surround,
of six with the low frequencies before the surrounds.

A filter is a matrix here: SPAN samples, and the four numbers that it remembers, times that matrix
are its output, and what it remembers then. So a core's vector units do most of the work. Axes:
n = samples, k = spans, s = the numbers remembered.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

MIN_RATE = 4_000  # Hz; below, there is not enough of what the filters weigh
WEIGHTS = {  # of channels, by how many there are
    **{count: (1.0, 1.0, 1.0, 1.41, 1.41)[:count] for count in range(1, 6)},
    6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41),
}
HOP_SECONDS, HOPS = 0.1, 4  # between blocks; in a block
GATE, RELATIVE_GATE = -70.0, -10.0  # LUFS, LU
SPAN = 32  # samples
GROUP = 8  # spans
PIECE = 4_096 * SPAN  # samples that are filtered at a time: they stay in a core's cache


@dataclass(frozen=True)
class _Filter:
    """Both filters at one rate.

    A span's output [SPAN] is `span` [SPAN, SPAN] of its samples, plus `memory` [s, SPAN] of what is
    remembered. `inflow` [SPAN, s] is what a span adds to that.
    """

    span: Samples
    memory: Samples
    inflow: Samples
    levels: tuple[_Level, ...]


@dataclass(frozen=True)
class _Level:
    """What is remembered across spans, or across groups of them.

    `carry` [s, s] is what a span keeps of it. What the GROUP spans of a group add to it is `within`
    [GROUP · s, GROUP · s] before each of them, and `total` [GROUP · s, s] after them; what was
    there before the group is `across` [s, GROUP · s] before each.
    """

    carry: Doubles
    within: Doubles
    across: Doubles
    total: Doubles


def _sections(rate: int) -> tuple[Doubles, ...]:
    """The filters as second-order sections (b0, b1, b2, a1, a2): a shelf of 4 dB from 1,500 Hz on,
    and a high-pass at 38 Hz, as Robert Bristow-Johnson's cookbook makes them."""
    gain = 10 ** (4.0 / 40)
    turn, cosine = 2 * np.pi * 1_500.0 / rate, np.cos(2 * np.pi * 1_500.0 / rate)
    width = 2 * np.sqrt(gain) * np.sin(turn) / np.sqrt(2)  # Q is the root of a half
    up, down = gain + 1, gain - 1
    shelf = np.array(
        [
            gain * (up + down * cosine + width),
            -2 * gain * (down + up * cosine),
            gain * (up + down * cosine - width),
            2 * (down - up * cosine),
            up - down * cosine - width,
        ]
    ) / (up - down * cosine + width)
    turn, cosine = 2 * np.pi * 38.0 / rate, np.cos(2 * np.pi * 38.0 / rate)
    width = np.sin(turn)  # Q is a half
    half = (1 + cosine) / 2
    high_pass = np.array([half, -2 * half, half, -2 * cosine, 1 - width]) / (1 + width)
    return shelf, high_pass


@lru_cache(maxsize=8)
def _filter(rate: int) -> _Filter:
    """The filters at a rate, in Hz: what they make of each sample of a span alone, and of each
    number remembered."""
    inputs = np.eye(SPAN, SPAN + 4)
    state = np.eye(4, SPAN + 4, SPAN)
    outputs = []
    for values in inputs:
        signal = values
        for first, (b0, b1, b2, a1, a2) in zip((0, 2), _sections(rate), strict=True):
            output = b0 * signal + state[first]
            state[first] = b1 * signal - a1 * output + state[first + 1]
            state[first + 1] = b2 * signal - a2 * output
            signal = output
        outputs.append(signal)
    response = np.array(outputs).T.astype(np.float32)
    return _Filter(
        span=np.ascontiguousarray(response[:SPAN]),
        memory=np.ascontiguousarray(response[SPAN:]),
        inflow=np.ascontiguousarray(state[:, :SPAN].T.astype(np.float32)),
        levels=_levels(np.ascontiguousarray(state[:, SPAN:].T)),
    )


def _levels(carry: Doubles) -> tuple[_Level, ...]:
    """The levels of spans, of groups of spans, of groups of these."""
    levels = []
    while True:
        powers = [np.linalg.matrix_power(carry, power) for power in range(GROUP + 1)]
        none = np.zeros_like(carry)
        within = [
            [powers[later - span - 1] if later > span else none for later in range(GROUP)]
            for span in range(GROUP)
        ]
        levels.append(
            _Level(
                carry=carry,
                within=np.block(within),
                across=np.hstack(powers[:GROUP]),
                total=np.vstack(powers[GROUP - 1 :: -1]),
            )
        )
        if GROUP ** len(levels) * SPAN >= PIECE:
            return tuple(levels)
        carry = powers[GROUP]


def _remembered(
    inflow: Doubles, levels: tuple[_Level, ...], state: Doubles
) -> tuple[Doubles, Doubles]:
    """What is remembered before each of k spans [k, s], and after the last [s].

    `inflow` [k, s]: what each adds; `state` [s]: before the first.
    """
    level, size = levels[0], len(state)
    whole = len(inflow) - len(inflow) % GROUP if len(levels) > 1 else 0
    states = np.empty_like(inflow)
    if whole:
        grouped = inflow[:whole].reshape(-1, GROUP * size)
        starts, state = _remembered(grouped @ level.total, levels[1:], state)
        states[:whole] = (grouped @ level.within + starts @ level.across).reshape(-1, size)
    for number in range(whole, len(inflow)):
        states[number] = state
        state = state @ level.carry + inflow[number]
    return states, state


class LoudnessMeter:
    """Measures one sound, block by block, at its own rate (Hz) and with all its channels.

    It keeps one number for each 0.1 s.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate, self._weights = sample_rate, WEIGHTS.get(channels, ())
        self._is_measurable = sample_rate >= MIN_RATE and bool(self._weights)
        self._filter = _filter(max(sample_rate, MIN_RATE))
        self._states = np.zeros((channels, 4))
        self._rest = np.zeros((0, channels), np.float32)  # less than a span
        self._position = 0  # samples that are filtered
        self._energies = array("d", [0.0])  # of each 0.1 s, the last one in the making

    def add(self, block: Samples) -> None:
        """Measure the next samples [n, channels]. Where their number of channels is another, the
        sound has no loudness."""
        self._is_measurable = self._is_measurable and block.shape[1] == len(self._weights)
        if not self._is_measurable:
            return
        samples = np.concatenate([self._rest, block]) if len(self._rest) else block
        whole = len(samples) - len(samples) % SPAN
        for start in range(0, whole, PIECE):
            piece = samples[start : min(start + PIECE, whole)]
            self._measure(piece, len(piece))
        self._rest = samples[whole:].copy()

    def _measure(self, samples: Samples, count: int) -> None:
        """Filter whole spans and add up the energies of their first `count` samples."""
        with np.errstate(all="ignore"):  # wild samples: whoever decodes refuses them
            filtered = [
                self._filtered(channel, np.ascontiguousarray(samples[:, channel]))
                for channel in range(len(self._weights))
            ]
            self._add_energies(filtered, self._position + count)

    def _add_energies(self, filtered: list[Samples], end: int) -> None:
        """Add up the energies of channels [n] from the current sample to before `end`."""
        begin = place = self._position
        while place < end:
            stop = min(self._hop_end(), end)
            first, last = place - begin, stop - begin
            for weight, values in zip(self._weights, filtered, strict=True):
                self._energies[-1] += weight * float(values[first:last] @ values[first:last])
            if stop == self._hop_end():
                self._energies.append(0.0)
            place = stop
        self._position = end

    def _hop_end(self) -> int:
        """The sample before which the current 0.1 s ends."""
        return int(HOPS * HOP_SECONDS * (len(self._energies) / HOPS) * self._rate)

    def _filtered(self, channel: int, samples: Samples) -> Samples:
        """Whole spans of a channel [n] as the filters let them pass."""
        matrices = self._filter
        spans = samples.reshape(-1, SPAN)
        inflow = (spans @ matrices.inflow).astype(np.float64)
        states, self._states[channel] = _remembered(inflow, matrices.levels, self._states[channel])
        filtered = spans @ matrices.span
        filtered += states.astype(np.float32) @ matrices.memory
        return filtered.reshape(-1)

    def loudness(self) -> float | None:
        """Of all that was added, in LUFS to a hundredth; None for silence, and for what cannot be
        measured: rates below 4,000 Hz, more than six channels. Nothing is added afterwards."""
        if not self._is_measurable:
            return None
        length = self._position + len(self._rest)
        if len(self._rest):  # zeros behind the end would ring on
            padded = np.zeros((SPAN, len(self._weights)), np.float32)
            padded[: len(self._rest)] = self._rest
            self._measure(padded, len(self._rest))
        seconds, block_seconds = length / self._rate, HOPS * HOP_SECONDS
        energies = np.array(self._energies)
        if seconds < block_seconds:
            block_seconds, blocks = seconds, energies.sum(keepdims=True)
        else:
            count = int(np.round((seconds - block_seconds) / HOP_SECONDS)) + 1
            sums = np.convolve(energies, np.ones(HOPS))[HOPS - 1 :]
            blocks = sums[:count]
        return _gated(blocks / max(block_seconds * self._rate, 1))


def _gated(powers: Doubles) -> float | None:
    """The loudness of blocks of mean squares; None where all are below the gate."""
    loud = powers[powers >= 10 ** ((GATE + 0.691) / 10)]
    if not len(loud):
        return None
    loud = loud[loud > loud.mean() * 10 ** (RELATIVE_GATE / 10)]
    return round(float(-0.691 + 10 * np.log10(loud.mean())), 2)
