"""A sound's file in a store: what `pathlib.Path` is for one of this machine, as far as it is read.

Reading raises OSError, but for `CloudReader`, which decoders read: they cannot handle an exception.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from earmark.model.cloud import stores
from earmark.model.cloud.addresses import checked_address, is_address
from earmark.model.core.positioned_file import PositionedFile

if TYPE_CHECKING:
    import os

BLOCK_BYTES, MAX_BLOCKS = 1 << 20, 64  # fetched at a time, and kept of a file that is decoded
BEAT_SECONDS = 1.0


@dataclass(frozen=True)
class CloudFile:
    """The file at an address. `listed`: its state when its folder was listed, None where that is
    not known: then `stat` asks the store."""

    address: str
    listed: os.stat_result | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """The last part of its address."""
        return self.address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return PurePosixPath(self.name).suffix

    def stat(self) -> os.stat_result:
        """Its state: `stores.state_of`. Raises OSError, ConfigError."""
        if self.listed is not None:
            return self.listed
        info = stores.ask(self.address, "info")
        if info["type"] != "file":
            raise FileNotFoundError(errno.ENOENT, "no file")
        return stores.state_of(info)

    def read(self, first: int, end: int) -> bytes:
        """The bytes from one on, before another: those alone are fetched. Raises OSError,
        ConfigError."""
        data: bytes = stores.ask(self.address, "cat_file", start=first, end=end)
        if len(data) != end - first:
            raise OSError(errno.ESTALE, "changed while it was read")
        return data

    def reader(self, on_beat: Callable[[], None] = lambda: None) -> CloudReader:
        """What decoders read; all readers share what has been fetched. `on_beat`: called about
        each second as long as bytes come. Raises OSError, ConfigError."""
        return CloudReader(self._opened, on_beat)

    @property
    def failure(self) -> OSError | None:
        """Why a reader got no more bytes, though there are some; None where it got them all."""
        opened: _OpenFile | None = self.__dict__.get("_opened")
        return opened.failure if opened else None

    @cached_property
    def _opened(self) -> _OpenFile:
        return _OpenFile(self)


StoredFile = Path | CloudFile


def stored_file(path: str) -> StoredFile:
    """The file that a catalogue has under a path or an address."""
    return CloudFile(path) if is_address(path) else Path(path)


def named_file(text: str) -> StoredFile:
    """The file or folder that a person names, by a path or an address. Raises InputError."""
    return CloudFile(checked_address(text)) if is_address(text) else Path(text)


class _OpenFile:
    """An open file, in blocks that are kept: the latest MAX_BLOCKS. Raises OSError."""

    def __init__(self, file: CloudFile) -> None:
        made = stores.filesystem(file.address)
        with stores.translated_errors():
            key = stores.key_of(file.address)
            self._file: Any = made.open(
                key,
                "rb",
                block_size=BLOCK_BYTES,
                cache_type="blockcache",
                cache_options={"maxblocks": MAX_BLOCKS},
            )
            info = getattr(self._file, "details", None) or made.info(key)
        state = stores.state_of(info)
        listed = file.listed
        if listed and (listed.st_size, listed.st_mtime_ns) != (state.st_size, state.st_mtime_ns):
            raise OSError(errno.ESTALE, "changed since its folder was listed: add it again")
        self.size = state.st_size
        self.failure: OSError | None = None

    def read(self, first: int, end: int) -> bytes:
        """The bytes from one on, before another; none after a failure, which is noted."""
        if self.failure is not None or first >= min(end, self.size):
            return b""
        try:
            with stores.translated_errors():
                self._file.seek(first)
                return bytes(self._file.read(min(end, self.size) - first))
        except OSError as error:
            self.failure = error
            return b""


class CloudReader(PositionedFile):
    """Reads a file from its start, or from where it is moved to; raises nothing."""

    def __init__(self, file: _OpenFile, on_beat: Callable[[], None]) -> None:
        super().__init__(file.size)
        self._file, self._on_beat, self._beat = file, on_beat, time.monotonic()

    def _bytes(self, first: int, end: int) -> bytes:
        data = self._file.read(first, end)
        now = time.monotonic()
        if data and now - self._beat >= BEAT_SECONDS:
            self._beat = now
            self._on_beat()
        return data


@dataclass(frozen=True)
class Entry:
    """What is in a folder of a store: its name, and whether it is a folder itself."""

    file: CloudFile
    is_folder: bool


def entry_at(address: str) -> Entry:
    """What is at an address. Raises OSError, ConfigError."""
    return _entry(address, stores.ask(address, "info"))


def entries_in(address: str) -> Iterator[Entry]:
    """What is in a folder, by name. Raises OSError, ConfigError."""
    made, key = stores.filesystem(address), stores.key_of(address)
    with stores.translated_errors():
        found = made.ls(key, detail=True)
    for info in sorted(found, key=lambda info: str(info["name"])):
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        # A folder's own marker, and what has an empty name, are not in it.
        if str(info["name"]).rstrip("/") != key and name:
            yield _entry(f"{address}/{name}", info)


def _entry(address: str, info: Any) -> Entry:  # noqa: ANN401 (fsspec's)
    is_folder = info["type"] == "directory"
    return Entry(CloudFile(address, None if is_folder else stores.state_of(info)), is_folder)
