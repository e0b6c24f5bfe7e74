"""Clips' waveforms: computed in processes of their own, the latest cached in memory."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import anyio
import anyio.to_thread
from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.http.problems import ProblemError

MAX_CACHED = 128
MAX_WAITING = 64  # requests; further ones are refused
DEADLINE_SECONDS = 120.0  # in which a sound must be read
NAME = "sound"  # stands in messages for the file's name

Key = tuple[int, int, int, int]


class Waveforms:
    """Computes clips' waveforms, as JSON. One for an application; `get` is for its event loop."""

    def __init__(self, readers: DecodePool) -> None:
        self._readers = readers
        self._cache: LRUCache[Key, bytes] = LRUCache(MAX_CACHED)
        self._lock = threading.Lock()
        self._turn = anyio.CapacityLimiter(1)
        self._waiting = 0

    async def get(self, clip: Clip, state: os.stat_result, points: int) -> bytes:
        """`{"peaks": [[least, greatest], …], "duration": seconds}`; peaks from -127 to 127.

        `state`: of the clip's file. Raises AudioError, ProblemError (429, 504).
        """
        key = (clip.row, state.st_size, state.st_mtime_ns, points)
        if (waveform := self._cached(key)) is not None:
            return waveform
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} waveforms are waiting", {"Retry-After": "1"})
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(
                self._compute, clip, key, points, limiter=self._turn
            )
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not read within {DEADLINE_SECONDS:g} s"
            ) from error
        finally:
            self._waiting -= 1

    def _compute(self, clip: Clip, key: Key, points: int) -> bytes:
        if (waveform := self._cached(key)) is not None:  # computed while this request waited
            return waveform
        until = time.monotonic() + DEADLINE_SECONDS
        drawn = self._readers.waveform(Path(clip.path), NAME, points, clip.sample_rate, until)
        body = {"peaks": drawn.peaks.tolist(), "duration": drawn.info.duration}
        encoded = json.dumps(body, separators=(",", ":")).encode()
        with self._lock:
            self._cache[key] = encoded
        return encoded

    def _cached(self, key: Key) -> bytes | None:
        with self._lock:
            return self._cache.get(key)
