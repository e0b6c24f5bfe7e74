"""Vectors of stretches of clips, embedded as uploads are; the latest are kept in memory."""

from __future__ import annotations

import os

from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.audio.stretch import Stretch
from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.service.workers.shared_work import SharedWork
from earmark.service.workers.upload_queue import UploadQueue

MAX_CACHED = 256

Key = tuple[object, ...]


class StretchVectors:
    """Embeds stretches of clips, for one event loop. `max_seconds`: of a stretch."""

    def __init__(self, uploads: UploadQueue, max_seconds: float) -> None:
        self._uploads, self._max_seconds = uploads, max_seconds
        self._cache: LRUCache[Key, Array] = LRUCache(MAX_CACHED)
        self._in_work = SharedWork[Array]()

    async def get(self, clip: Clip, state: os.stat_result, stretch: Stretch) -> Array:
        """The unit vector [D] of a stretch of a clip, whose file has this state.

        Raises InputError, AudioError, ProblemError (429, 504).
        """
        seconds = stretch.end - stretch.start
        if seconds > self._max_seconds:
            raise InputError(
                f"end: expected at most {self._max_seconds:g} s after the start, got {seconds:g}"
            )
        key = (clip.row, state.st_size, state.st_mtime_ns, stretch.frames(clip.sample_rate))
        vector = self._cache.get(key)
        if vector is None:
            vector = await self._in_work.get(key, lambda: self._embed(key, stretch))
        return vector

    async def _embed(self, key: Key, stretch: Stretch) -> Array:
        vector = (await self._uploads.embed(stretch)).vector
        self._cache[key] = vector
        return vector
