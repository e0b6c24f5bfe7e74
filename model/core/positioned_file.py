"""Files made of reads at positions, for decoders: they cannot handle an exception."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

MAX_POSITION = 2**62


class PositionedFile(io.RawIOBase):
    """A file of `size` bytes whose position stays where it is after an impossible seek."""

    def __init__(self, size: int) -> None:
        self._size, self._position = size, 0

    @abstractmethod
    def _bytes(self, first: int, end: int) -> bytes:
        """The bytes from one on, before another, which may lie behind the file's end."""

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position; the old one after an impossible seek."""
        base = (0, self._position, self._size)[whence]
        if 0 <= base + offset <= MAX_POSITION:
            self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (any buffer)
        """Read into a buffer; returns the bytes read."""
        view = memoryview(buffer).cast("B")
        data = self._bytes(self._position, self._position + len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)
