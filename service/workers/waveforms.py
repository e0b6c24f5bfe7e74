"""Clips' waveforms: computed in processes of their own, the latest cached in memory."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.audio.decode import Source
from earmark.model.audio.stretch import Stretch
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.http.problems import ProblemError

MAX_CACHED = 128
MAX_WAITING = 64  # requests; further ones are refused
DEADLINE_SECONDS = 120.0  # in which a sound must be read, and more where it is long:
SLOWEST = 100.0  # seconds of sound in a second
LONG_SECONDS = 600.0  # what decodes more does not hold up others
NAME = "sound"  # stands in messages for the file's name

Key = tuple[object, ...]


@dataclass(frozen=True)
class _Drawing:
    """A sound to draw, in `points` at a sample rate in Hz, within so many seconds."""

    source: Source
    points: int
    sample_rate: int
    seconds: float


class Waveforms:
    """Computes clips' waveforms, as JSON. One for an application; `get` is for its event loop."""

    def __init__(self, readers: DecodePool) -> None:
        self._readers = readers
        self._cache: LRUCache[Key, bytes] = LRUCache(MAX_CACHED)
        self._lock = threading.Lock()
        self._turn, self._long_turn = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        self._waiting = 0

    async def get(
        self, clip: Clip, state: os.stat_result, points: int, stretch: Stretch | None = None
    ) -> bytes:
        """`{"peaks": [[least, greatest], …], "duration": seconds}`; peaks from -127 to 127.

        `state`: of the clip's file; `stretch`: of the clip that is drawn, None for all of it.
        Raises AudioError, ProblemError (429, 504).
        """
        key = (clip.row, state.st_size, state.st_mtime_ns, points, stretch)
        if (waveform := self._cached(key)) is not None:
            return waveform
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} waveforms are waiting", {"Retry-After": "1"})
        decoded = clip.duration if stretch is None else stretch.decoded_seconds
        turn = self._long_turn if decoded > LONG_SECONDS else self._turn
        seconds = DEADLINE_SECONDS + clip.duration / SLOWEST
        job = _Drawing(stretch or Path(clip.path), points, clip.sample_rate, seconds)
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(self._compute, job, key, limiter=turn)
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not read within {seconds:.0f} s"
            ) from error
        finally:
            self._waiting -= 1

    def _compute(self, job: _Drawing, key: Key) -> bytes:
        if (waveform := self._cached(key)) is not None:  # computed while this request waited
            return waveform
        until = time.monotonic() + job.seconds
        drawn = self._readers.waveform(job.source, NAME, job.points, job.sample_rate, until)
        body = {"peaks": drawn.peaks.tolist(), "duration": drawn.info.duration}
        encoded = json.dumps(body, separators=(",", ":")).encode()
        with self._lock:
            self._cache[key] = encoded
        return encoded

    def _cached(self, key: Key) -> bytes | None:
        with self._lock:
            return self._cache.get(key)
