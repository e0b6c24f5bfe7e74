"""Clips' waveforms: drawn in processes of their own, those asked for lately kept in memory."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path

import anyio
import anyio.to_thread

from earmark.index.catalogue.records import Clip
from earmark.model.inference.decode_pool import Readers
from earmark.service.http.problems import ProblemError

KEPT = 128
WAITING = 64  # requests, before more are refused
SECONDS = 120.0  # in which a sound must be read
NAME = "sound"  # what messages call it

Key = tuple[int, int, int, int]


class Waveforms:
    """Draws clips' waveforms, as JSON. One app's; `get` is for its event loop."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = anyio.CapacityLimiter(1)
        self._present = 0

    async def get(self, clip: Clip, state: os.stat_result, points: int) -> bytes:
        """`{"peaks": [[least, greatest], …], "duration": seconds}`; peaks from -127 to 127.

        `state`: of its file. Raises AudioError, ProblemError (429, 504).
        """
        key = (clip.row, state.st_size, state.st_mtime_ns, points)
        if (kept := self._known(key)) is not None:
            return kept
        if self._present >= WAITING:
            raise ProblemError("busy", f"{WAITING} waveforms are waiting", {"Retry-After": "1"})
        self._present += 1
        try:
            return await anyio.to_thread.run_sync(
                self._drawn, clip, key, points, limiter=self._turn
            )
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not read within {SECONDS:g} s"
            ) from error
        finally:
            self._present -= 1

    def _drawn(self, clip: Clip, key: Key, points: int) -> bytes:
        if (kept := self._known(key)) is not None:  # drawn while this one waited
            return kept
        until = time.monotonic() + SECONDS
        drawn = self._readers.draw(Path(clip.path), NAME, points, clip.sample_rate, until)
        body = {"peaks": drawn.peaks.tolist(), "duration": drawn.info.duration}
        encoded = json.dumps(body, separators=(",", ":")).encode()
        with self._lock:
            self._kept[key] = encoded
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return encoded

    def _known(self, key: Key) -> bytes | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)
