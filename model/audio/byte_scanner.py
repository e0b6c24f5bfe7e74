"""Reading and searching a file here and there, in pieces that are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Protocol

PIECE_BYTES = 1 << 16
OVERLAP = 16  # bytes; no pattern is longer


class BinaryFile(Protocol):
    """What reads a file, or a part of one."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """The new position."""

    def read(self, size: int = ..., /) -> bytes | None:
        """At most so many bytes."""

    def tell(self) -> int:
        """The position."""


class ByteScanner:
    """A file of `size` bytes. The caller moves the file's position between calls at most."""

    def __init__(self, file: BinaryFile) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._start, self._piece = 0, b""

    def read(self, position: int, count: int) -> bytes:
        """At most `count` bytes from a position, and keep what follows them."""
        if not self._holds(position, count):
            self._load(position, max(count, PIECE_BYTES))
        return self._piece[position - self._start : position - self._start + count]

    def peek(self, position: int, count: int) -> bytes:
        """The same for few bytes farther on, before the search goes on here."""
        if self._holds(position, count):
            return self.read(position, count)
        return self._read(position, count)

    def search(self, pattern: re.Pattern[bytes], position: int) -> int:
        """Where a pattern is first found at or after a position; `size` if nowhere."""
        while position < self.size:
            if not self._holds(position, OVERLAP):
                self._load(position, PIECE_BYTES)
            match = pattern.search(self._piece, position - self._start)
            if match:
                return self._start + match.start()
            end = self._start + len(self._piece)
            if end >= self.size or not self._piece:
                break
            position = max(position, end - OVERLAP) + 1
        return self.size

    def find_all(self, pattern: re.Pattern[bytes]) -> Iterator[int]:
        """Where a pattern is found."""
        position = self.search(pattern, 0)
        while position < self.size:
            yield position
            position = self.search(pattern, position + 1)

    def _holds(self, position: int, count: int) -> bool:
        return self._start <= position and position + count <= self._start + len(self._piece)

    def _load(self, position: int, count: int) -> None:
        self._start, self._piece = position, self._read(position, count)

    def _read(self, position: int, count: int) -> bytes:
        if not 0 <= position < self.size:
            return b""
        self._file.seek(position)
        return self._file.read(count) or b""
