"""A sound → codes of short steps of time, in bounded memory.

A step is a frame of the encoder's last map (0.32 s with the starter model). The windows of the
decoder lie side by side; here the frames in them are cut again into windows that overlap by half,
and a step's code is the mean of what both windows tell of it, the more of a window the nearer the
step is to its middle: there it is heard with what is before and after it. Axes: n = windows, T =
frames of a window, F = mels, S = steps, V = audio code. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from earmark.model.config import ModelConfig
from earmark.model.core.arrays import Array
from earmark.model.encoders.base import WINDOW_BATCH
from earmark.model.front_end import Windows

FrameWindows = tuple[Array, npt.NDArray[np.int64]]  # [n, T, F], and their first frames [n]


def cut_windows(blocks: Iterable[FrameWindows], hop: int, grid: int) -> Iterator[FrameWindows]:
    """Blocks of windows side by side → blocks of windows that start every `hop` frames.

    The last of the given windows may overlap, as `model.audio.log_mel.windows` aligns it to the
    end. One more window starts as late as the end and multiples of `grid` frames allow.
    """
    frames, start = None, 0  # the frames from `start` on
    following = size = 0  # first frame of the next window; frames of a window
    for windows, first_frames in blocks:
        size = windows.shape[1]
        pieces, end = ([], 0) if frames is None else ([frames], start + len(frames))
        for window, first in zip(windows, first_frames.tolist(), strict=True):
            pieces.append(window[end - first :])
            end = first + size
        frames = np.concatenate(pieces)
        firsts = np.arange(following, end - size + 1, hop, dtype=np.int64)
        if len(firsts):
            yield _windows_at(frames, firsts - start, size), firsts
            following = int(firsts[-1]) + hop
            frames, start = frames[following - hop - start :], following - hop
    if frames is not None:
        last = (start + len(frames) - size) // grid * grid
        if last > following - hop:
            firsts = np.array([last], dtype=np.int64)
            yield _windows_at(frames, firsts - start, size), firsts


def _windows_at(frames: Array, firsts: npt.NDArray[np.int64], size: int) -> Array:
    """Windows [n, T, F] of frames that start at these."""
    views = np.lib.stride_tricks.sliding_window_view(frames, size, axis=0)[firsts]
    return np.ascontiguousarray(views.transpose(0, 2, 1))


def encode_steps_of(
    config: ModelConfig,
    encode_steps: Callable[[Array], Array],
    blocks: Iterable[Windows],
    on_seconds: Callable[[float], None],
) -> npt.NDArray[np.float16]:
    """The codes [S, V] of the steps of a sound that is given as windows side by side.

    `on_seconds` is called with the seconds of the sound that were heard so far.
    """
    features, steps = config.features, config.window_steps
    frame_seconds = features.hop / features.sample_rate
    in_frames = (
        (windows, np.rint(starts / frame_seconds).astype(np.int64)) for windows, starts in blocks
    )
    grid = features.frames // steps
    weights = np.minimum(np.arange(1, steps + 1), np.arange(steps, 0, -1)).astype(np.float32)
    done: list[npt.NDArray[np.float16]] = []
    first = 0  # step that the sums begin with
    sums = np.zeros((0, config.code_dim), np.float32)
    totals = np.zeros((0, 1), np.float32)
    for windows, first_frames in cut_windows(in_frames, features.frames // 2, grid):
        starts = (first_frames // grid - first).tolist()
        more = starts[-1] + steps - len(sums)
        sums = np.pad(sums, ((0, more), (0, 0)))
        totals = np.pad(totals, ((0, more), (0, 0)))
        for batch in range(0, len(windows), WINDOW_BATCH):
            codes = encode_steps(windows[batch : batch + WINDOW_BATCH])
            for start, code in zip(starts[batch:], codes, strict=False):
                sums[start : start + steps] += weights[:, None] * code
                totals[start : start + steps] += weights[:, None]
        # No later window starts before the step after the last one's first.
        ready = starts[-1] + 1
        done.append((sums[:ready] / totals[:ready]).astype(np.float16))
        sums, totals, first = sums[ready:], totals[ready:], first + ready
        on_seconds((first + len(sums)) * grid * frame_seconds)
    done.append((sums / totals).astype(np.float16))
    return np.concatenate(done)
