"""Collections as files: a few at a time are read and packed, in threads of their own.

A ZIP has its place for as long as its client receives, so each client has some of the places only;
where none is free, a request is refused at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread

from earmark.index.files.stored_zip import BLOCK, StoredZip
from earmark.service.http.problems import ProblemError

Result = TypeVar("Result")

MAX_HANDOVERS = 4  # at once
MAX_OF_CLIENT = 2  # at once
MAX_CHECKSUMS = 500_000  # that are kept, so that a range can begin anywhere at once
RETRY = {"Retry-After": "10"}


class KnownChecksums(dict[tuple[str, int, int], int]):
    """Checksums of files, forgotten where they become too many."""

    def __setitem__(self, key: tuple[str, int, int], checksum: int) -> None:
        if len(self) >= MAX_CHECKSUMS:
            self.clear()
        super().__setitem__(key, checksum)


class PackedPart:
    """The bytes of a ZIP from `first` on, before `end`, as they are read."""

    def __init__(
        self, archive: StoredZip, first: int, end: int, threads: anyio.CapacityLimiter
    ) -> None:
        self.size: int | None = end - first
        self._pieces, self._threads = archive.read(first, end), threads

    async def content(self) -> AsyncIterator[bytes]:
        """The bytes, empty ones while there are none yet. Raises LibraryError where a file has
        changed or gone meanwhile."""
        while (taken := await anyio.to_thread.run_sync(self._take, limiter=self._threads)) != []:
            yield b"".join(taken)

    def _take(self) -> list[bytes]:
        """The next pieces, together of about 256 kB, in a thread; none after the last."""
        taken: list[bytes] = []
        size = 0
        while size < BLOCK and (piece := next(self._pieces, None)) is not None:
            taken.append(piece)
            size += len(piece)
            if not piece:
                break
        return taken


class Handovers:
    """Makes files of collections. One for an application, for its event loop."""

    def __init__(self) -> None:
        self.checksums = KnownChecksums()
        self._threads = anyio.CapacityLimiter(MAX_HANDOVERS)
        self._present: Counter[str] = Counter()

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """A place for a client's request, until the context ends. Raises ProblemError (429)."""
        if self._present.total() >= MAX_HANDOVERS or self._present[client] >= MAX_OF_CLIENT:
            detail = f"{self._present[client]} of {self._present.total()} are this client's"
            raise ProblemError("busy", f"collections are being handed over: {detail}", RETRY)
        self._present[client] += 1
        try:
            yield
        finally:
            self._present[client] -= 1
            if not self._present[client]:
                del self._present[client]

    async def run(self, work: Callable[[], Result]) -> Result:
        """What some work gives, done in a thread. Raises what it raises."""
        return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def part(self, archive: StoredZip, first: int, end: int) -> PackedPart:
        """A range of an archive's bytes."""
        return PackedPart(archive, first, end, self._threads)
