"""Clips' timelines: decoded in processes of their own, one at a time, the latest cached in memory.

What is heard in a sound is kept beside its timelines, so that asking for other tags of the same
sound decodes nothing. Both caches are bounded in bytes, and a sound longer than the cache is wide
is not kept. A sound that nobody waits for any more is given up.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import anyio
import anyio.to_thread
from cachetools import LRUCache

from earmark.index.catalogue.records import Clip
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.cloud.cloud_file import StoredFile, stored_file
from earmark.model.embedder import Embedder
from earmark.model.front_end import Windows
from earmark.model.inference.decode_pool import Block, DecodePool
from earmark.model.timeline.label_files import FORMATS
from earmark.model.timeline.steps import HeardSound
from earmark.model.timeline.timeline import make_timeline
from earmark.model.zero_shot import Labels
from earmark.service.http.problems import ProblemError
from earmark.service.workers.shared_work import SharedWork

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
        self._lock = threading.Lock()  # for the one above, which threads change
        self._hearing = SharedWork[HeardSound]()
        self._turn = anyio.Semaphore(1)
        self._hearers, self._writers = anyio.CapacityLimiter(1), anyio.CapacityLimiter(1)
        self._waiting = 0

    async def get(
        self, clip: Clip, state: os.stat_result, labels: Labels | None, kind: str
    ) -> bytes:
        """The timeline of a clip for these labels, or for suggested tags, in a format of `FORMATS`.

        `state`: of the clip's file. Raises AudioError, ProblemError (429, 504).
        """
        sound = (clip.row, state.st_size, state.st_mtime_ns)
        key = (sound, tuple(labels.names) if labels else (), kind)
        with self._lock:
            body = self._bodies.get(key)
        if body is not None:
            return body
        if self._waiting >= MAX_WAITING:
            raise ProblemError("busy", f"{MAX_WAITING} timelines are waiting", {"Retry-After": "5"})
        self._waiting += 1
        try:
            heard = self._heard.get(sound)
            if heard is None:
                file = stored_file(clip.path)
                heard = await self._hearing.get(sound, lambda: self._hear(sound, file))
            return await anyio.to_thread.run_sync(
                self._write, key, heard, labels, limiter=self._writers
            )
        except TimeoutError as error:
            raise ProblemError(
                "deadline", f"the sound was not heard within {DEADLINE_SECONDS:g} s"
            ) from error
        finally:
            self._waiting -= 1

    async def _hear(self, sound: SoundKey, file: StoredFile) -> HeardSound:
        """Raises AudioError, TimeoutError."""
        abandoned = threading.Event()
        async with self._turn:
            thread = asyncio.ensure_future(
                anyio.to_thread.run_sync(self._hear_file, file, abandoned, limiter=self._hearers)
            )
            try:
                heard = await asyncio.shield(thread)
            finally:  # the turn lasts as long as the thread
                abandoned.set()
                await asyncio.gather(thread, return_exceptions=True)
        if heard.codes.nbytes <= MAX_HEARD_BYTES:
            self._heard[sound] = heard
        return heard

    # In threads

    def _hear_file(self, file: StoredFile, abandoned: threading.Event) -> HeardSound:
        deadline = time.monotonic() + DEADLINE_SECONDS
        info: SoundInfo | None = None
        with closing(self._readers.read(file, NAME, None, deadline)) as messages:

            def windows() -> Iterator[Windows]:
                nonlocal info
                for message in messages:
                    if abandoned.is_set():
                        raise TimeoutError("nobody waits for this sound")
                    if isinstance(message, Block):
                        yield message.windows, message.starts
                    elif isinstance(message, SoundInfo):
                        info = message

            codes = self._embedder.encode_sound_steps(windows())
        assert info is not None, "the last message is the sound's info"
        return HeardSound(codes, info)

    def _write(self, key: Key, heard: HeardSound, labels: Labels | None) -> bytes:
        with self._lock:
            body = self._bodies.get(key)
        if body is None:
            timeline = make_timeline(self._embedder, heard, labels)
            body = FORMATS[key[-1]].write(timeline).encode()
            with self._lock:
                if len(body) <= MAX_BODY_BYTES:
                    self._bodies[key] = body
        return body
