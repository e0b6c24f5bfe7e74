"""Clips' waveforms and spectrograms: drawn in processes of their own, the latest in memory."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from functools import partial

import anyio
import anyio.to_thread
from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.audio.decode import Source
from earmark.model.audio.stretch import Stretch
from earmark.model.cloud.cloud_file import stored_file
from earmark.model.drawing.spectrogram import Canvas
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.http.problems import ProblemError

MAX_CACHED = 16_000_000  # bytes
MAX_WAITING = 64  # requests; further ones are refused
DEADLINE_SECONDS = 120.0  # in which a sound must be read, and more where it is long:
SLOWEST = 100.0  # seconds of sound in a second
LONG_SECONDS = 600.0  # what decodes more does not hold up others
NAME = "sound"  # stands in messages for the file's name

Key = tuple[object, ...]
Draw = Callable[[Source, float], bytes]  # of a sound, until a time of `time.monotonic()`


class Drawings:
    """Draws clips. One for an application; its methods are for the event loop.

    `state`: of the clip's file; `stretch`: of the clip that is drawn, None for all of it.
    Both raise AudioError, ProblemError (429, 504).
    """

    def __init__(self, readers: DecodePool) -> None:
        self._readers = readers
        self._cache: LRUCache[Key, bytes] = LRUCache(MAX_CACHED, getsizeof=len)
        self._lock = threading.Lock()
        self._turn, self._long_turn = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        self._waiting = 0

    async def waveform(
        self, clip: Clip, state: os.stat_result, points: int, stretch: Stretch | None = None
    ) -> bytes:
        """`{"peaks": [[least, greatest], …], "duration": seconds}`; peaks from -127 to 127."""

        def draw(source: Source, until: float) -> bytes:
            drawn = self._readers.waveform(source, NAME, points, clip.sample_rate, until)
            body = {"peaks": drawn.peaks.tolist(), "duration": drawn.info.duration}
            return json.dumps(body, separators=(",", ":")).encode()

        return await self._get(clip, state, stretch, draw, points)

    async def spectrogram(
        self,
        clip: Clip,
        state: os.stat_result,
        size: tuple[int, int],
        stretch: Stretch | None = None,
    ) -> bytes:
        """A PNG file, `size` (width, height) in pixels: `model.drawing.spectrogram`."""
        seconds = clip.duration if stretch is None else stretch.end - stretch.start
        canvas = Canvas(*size, seconds)

        def draw(source: Source, until: float) -> bytes:
            return self._readers.spectrogram(source, NAME, canvas, clip.sample_rate, until)

        return await self._get(clip, state, stretch, draw, canvas)

    async def _get(
        self,
        clip: Clip,
        state: os.stat_result,
        stretch: Stretch | None,
        draw: Draw,
        what: object,
    ) -> bytes:
        """What has been drawn, or is drawn now."""
        key = (clip.row, state.st_size, state.st_mtime_ns, what, stretch)
        if (drawing := self._cached(key)) is not None:
            return drawing
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} drawings are waiting", {"Retry-After": "1"})
        decoded = clip.duration if stretch is None else stretch.decoded_seconds
        turn = self._long_turn if decoded > LONG_SECONDS else self._turn
        seconds = DEADLINE_SECONDS + clip.duration / SLOWEST
        drawing_it = partial(draw, stretch or stored_file(clip.path))
        self._waiting += 1
        try:
            compute = partial(self._compute, drawing_it, key, seconds)
            return await anyio.to_thread.run_sync(compute, limiter=turn)
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not read within {seconds:.0f} s"
            ) from error
        finally:
            self._waiting -= 1

    def _compute(self, draw: Callable[[float], bytes], key: Key, seconds: float) -> bytes:
        if (drawing := self._cached(key)) is not None:  # drawn while this request waited
            return drawing
        drawing = draw(time.monotonic() + seconds)
        with self._lock:
            self._cache[key] = drawing
        return drawing

    def _cached(self, key: Key) -> bytes | None:
        with self._lock:
            return self._cache.get(key)
