"""Clips by their numbers, those asked for lately kept in memory.

Whoever sees that the catalogue was written to clears it; what was read meanwhile is not kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip
from earmark.index.lexical.stemming import stems

MOST = 16_384  # clips
MOST_LETTERS = 2_000  # of a description; clips with a longer one are read each time


@dataclass(frozen=True)
class Shown:
    """A clip, and the stems of its words."""

    clip: Clip

    @cached_property
    def stems(self) -> frozenset[str]:
        """Of title, tags and description."""
        clip = self.clip
        return frozenset(stems(" ".join([clip.title, *clip.tags, clip.description])))


class ClipCache:
    """A catalogue's clips. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, most: int = MOST) -> None:
        self._catalogue, self._most = catalogue, most
        self._kept: OrderedDict[int, Shown] = OrderedDict()
        self._clearings = 0
        self._lock = threading.Lock()

    def get(self, rows: Sequence[int]) -> dict[int, Shown]:
        """Clips by their numbers; those gone meanwhile are absent."""
        with self._lock:
            clearings, kept = self._clearings, self._kept
            found = {row: kept[row] for row in rows if row in kept}
            for row in found:
                kept.move_to_end(row)
        missing = [row for row in rows if row not in found]
        if missing:
            read = {row: Shown(clip) for row, clip in self._catalogue.clips_by_row(missing).items()}
            self._keep(read, clearings)
            found |= read
        return found

    def _keep(self, read: dict[int, Shown], clearings: int) -> None:
        with self._lock:
            if clearings != self._clearings:
                return
            for row, each in read.items():
                if len(each.clip.description) <= MOST_LETTERS:
                    self._kept[row] = each
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Any clip may have changed."""
        with self._lock:
            self._clearings += 1
            self._kept.clear()
