"""Clips' timelines: decoded in processes of their own, one at a time, the latest cached in memory.

What is heard in a sound is kept beside its timelines, so that asking for other tags of the same
sound decodes nothing. Both caches are bounded in bytes, and a sound longer than the cache is wide
is not kept.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.embedder import Embedder
from earmark.model.inference.decode_pool import Block, DecodePool
from earmark.model.timeline.label_files import FORMATS
from earmark.model.timeline.steps import HeardSound, Windows, hear
from earmark.model.timeline.timeline import make_timeline
from earmark.model.zero_shot import Labels
from earmark.service.http.problems import ProblemError

MAX_HEARD_BYTES = 96 << 20  # about eleven hours of sound
MAX_BODY_BYTES = 8 << 20
MAX_WAITING = 16  # requests; further ones are refused
DEADLINE_SECONDS = 600.0  # in which a sound must be read and heard
NAME = "sound"  # stands in messages for the file's name

SoundKey = tuple[int, int, int]
Key = tuple[SoundKey, tuple[str, ...], str]


class Timelines:
    """Makes clips' timelines. One for an application; `get` is for its event loop."""

    def __init__(self, readers: DecodePool, embedder: Embedder) -> None:
        self._readers, self._embedder = readers, embedder
        self._heard: LRUCache[SoundKey, HeardSound] = LRUCache(
            MAX_HEARD_BYTES, getsizeof=lambda heard: heard.codes.nbytes
        )
        self._bodies: LRUCache[Key, bytes] = LRUCache(MAX_BODY_BYTES, getsizeof=len)
        self._lock = threading.Lock()
        self._turn = anyio.CapacityLimiter(1)
        self._waiting = 0

    async def get(
        self, clip: Clip, state: os.stat_result, labels: Labels | None, kind: str
    ) -> bytes:
        """The timeline of a clip for these labels, or for suggested tags, in a format of `FORMATS`.

        `state`: of the clip's file. Raises AudioError, ProblemError (429, 504).
        """
        sound = (clip.row, state.st_size, state.st_mtime_ns)
        key = (sound, tuple(labels.names) if labels else (), kind)
        if (body := self._cached(key)) is not None:
            return body
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} timelines are waiting", {"Retry-After": "5"})
        self._waiting += 1
        try:
            return await anyio.to_thread.run_sync(self._make, clip, key, labels, limiter=self._turn)
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not heard within {DEADLINE_SECONDS:g} s"
            ) from error
        finally:
            self._waiting -= 1

    def _make(self, clip: Clip, key: Key, labels: Labels | None) -> bytes:
        if (body := self._cached(key)) is not None:  # made while this request waited
            return body
        sound, _, kind = key
        with self._lock:
            heard = self._heard.get(sound)
        if heard is None:
            heard = self._hear(Path(clip.path))
            with self._lock:
                if heard.codes.nbytes <= MAX_HEARD_BYTES:
                    self._heard[sound] = heard
        made = FORMATS[kind].write(make_timeline(self._embedder, heard, labels)).encode()
        with self._lock:
            if len(made) <= MAX_BODY_BYTES:
                self._bodies[key] = made
        return made

    def _hear(self, path: Path) -> HeardSound:
        """Raises AudioError, TimeoutError."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        info: SoundInfo | None = None

        def windows() -> Iterator[Windows]:
            nonlocal info
            for message in self._readers.read(path, NAME, None, deadline):
                if isinstance(message, Block):
                    yield message.windows, message.first_frames
                elif isinstance(message, SoundInfo):
                    info = message

        codes = hear(self._embedder, windows())
        assert info is not None, "the last message is the sound's info"
        return HeardSound(codes, info)

    def _cached(self, key: Key) -> bytes | None:
        with self._lock:
            return self._bodies.get(key)
