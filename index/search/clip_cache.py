"""A cache of clips by row: the least recently used are dropped.

Clear it after each write to the catalogue. Clips that a thread read before the clearing are not
cached after it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cachetools import LRUCache

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip
from earmark.index.lexical.stemming import stems
from earmark.index.lexical.terms import clip_terms

MAX_CLIPS = 16_384
MAX_DESCRIPTION = 2_000  # letters; clips with a longer description are read each time


@dataclass(frozen=True)
class CachedClip:
    """A clip and its words."""

    clip: Clip

    @cached_property
    def terms(self) -> frozenset[str]:
        """Of title, tags and description."""
        words, described = clip_terms(
            " ".join([self.clip.title, *self.clip.tags]), self.clip.description
        )
        return frozenset((*words, *described))

    @cached_property
    def words(self) -> dict[str, str]:
        """The first word of each stem, in title, tags and description."""
        return stems(" ".join([self.clip.title, *self.clip.tags, self.clip.description]))


class ClipCache:
    """Reads clips of a catalogue through a cache. Thread-safe."""

    def __init__(self, catalogue: Catalogue, max_clips: int = MAX_CLIPS) -> None:
        self._catalogue = catalogue
        self._cache: LRUCache[int, CachedClip] = LRUCache(max_clips)
        self._clearings = 0
        self._lock = threading.Lock()

    def get(self, rows: Sequence[int]) -> dict[int, CachedClip]:
        """Clips by row, without those that have been removed."""
        with self._lock:
            clearings, cache = self._clearings, self._cache
            found = {row: cache[row] for row in rows if row in cache}
        missing = [row for row in rows if row not in found]
        if missing:
            clips = self._catalogue.clips_by_row(missing)
            read = {row: CachedClip(clip) for row, clip in clips.items()}
            self._add(read, clearings)
            found |= read
        return found

    def _add(self, read: dict[int, CachedClip], clearings: int) -> None:
        with self._lock:
            if clearings != self._clearings:
                return
            for row, cached in read.items():
                if len(cached.clip.description) <= MAX_DESCRIPTION:
                    self._cache[row] = cached

    def clear(self) -> None:
        """Drop all clips: any may have changed."""
        with self._lock:
            self._clearings += 1
            self._cache = LRUCache(self._cache.maxsize)  # its own `clear` drops them one by one
