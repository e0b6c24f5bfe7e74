"""ZIP archives whose files are stored as they are, made while they are read.

Nothing is compressed: sounds hardly shrink. All but the checksums follows from the names, sizes and
times of the files, so the size is known beforehand, and any range of bytes can be made by itself:
what lies before it is read only where a checksum is not known yet. ZIP64 is used where it is needed
(APPNOTE.TXT 6.3.10, 4.3 and 4.5). Times in the archive are in UTC.
"""

from __future__ import annotations

import os
import stat
import struct
import time
import zlib
from collections.abc import Generator, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from earmark.index.errors import LibraryError
from earmark.model.cloud.cloud_file import CloudFile, StoredFile

BLOCK = 262_144  # bytes read at a time
FETCHED = 4 * BLOCK  # of a store

_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_VERSION, _VERSION64 = 20, 45  # of the format that a reader must know
_UNIX = 3 << 8  # whose permissions follow
_FLAGS = 0x0808  # the checksum follows the bytes; names are UTF-8
_FULL, _FULL_COUNT = 0xFFFFFFFF, 0xFFFF  # look into the fields of ZIP64
_PERMISSIONS = (stat.S_IFREG | 0o644) << 16

Checksums = MutableMapping[tuple[str, int, int], int]  # by path, size and time of change


@dataclass(frozen=True)
class Member:
    """A file of an archive: its name there, with `/` between folders, its `content`, or the path of
    a file that has it, its size in bytes, and when it was changed, in ns since 1970."""

    name: str
    content: bytes | StoredFile
    size: int
    mtime_ns: int

    @classmethod
    def of_text(cls, name: str, text: str, mtime_ns: int) -> Member:
        """A file of text in UTF-8."""
        content = text.encode()
        return cls(name, content, len(content), mtime_ns)

    @classmethod
    def of_file(cls, name: str, file: StoredFile) -> Member | None:
        """A file of this machine or of a store; None where there is none now, or the store cannot
        be asked."""
        try:
            state = file.stat()
        except (OSError, ValueError):
            return None
        is_readable = isinstance(file, CloudFile) or os.access(file, os.R_OK)
        if not stat.S_ISREG(state.st_mode) or not is_readable:
            return None
        return cls(name, file, state.st_size, state.st_mtime_ns)

    @property
    def is_large(self) -> bool:
        """Whether its size needs ZIP64."""
        return self.size >= _FULL

    @cached_property
    def header(self) -> bytes:
        """What stands before its bytes: not yet its size and checksum."""
        name, (day, second) = self.name.encode(), _dos_time(self.mtime_ns)
        version = _VERSION64 if self.is_large else _VERSION
        size, extra = (_FULL, struct.pack("<2H2Q", 1, 16, 0, 0)) if self.is_large else (0, b"")
        fields = (version, _FLAGS, 0, second, day, 0, size, size, len(name), len(extra))
        return _LOCAL.pack(b"PK\3\4", *fields) + name + extra

    def descriptor(self, checksum: int) -> bytes:
        """What follows its bytes."""
        form = "<4sL2Q" if self.is_large else "<4s3L"
        return struct.pack(form, b"PK\7\10", checksum, self.size, self.size)

    def entry(self, offset: int, checksum: int) -> bytes:
        """Its entry in the directory. `offset`: of its header."""
        name, (day, second) = self.name.encode(), _dos_time(self.mtime_ns)
        large = [self.size, self.size] if self.is_large else []
        large += [offset] if offset >= _FULL else []
        extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
        version, size = _VERSION64 if large else _VERSION, min(self.size, _FULL)
        times, sizes = (second, day), (checksum, size, size)
        lengths = (len(name), len(extra), 0, 0, 0)
        fields = (_UNIX | version, version, _FLAGS, 0, *times, *sizes, *lengths)
        packed = _ENTRY.pack(b"PK\1\2", *fields, _PERMISSIONS, min(offset, _FULL))
        return packed + name + extra

    def read(self, first: int = 0) -> Iterator[bytes]:
        """Its bytes from one on. Raises LibraryError where the file has changed or gone."""
        if isinstance(self.content, bytes):
            yield self.content[first:]
            return
        left = self.size - first
        try:
            if isinstance(self.content, CloudFile):
                yield from self._fetched(self.content, first)
                return
            with self.content.open("rb") as file:
                self._check(os.fstat(file.fileno()))
                file.seek(first)
                while left > 0 and (block := file.read(min(BLOCK, left))):
                    left -= len(block)
                    yield block
                self._check(os.fstat(file.fileno()))
        except (OSError, ValueError) as error:
            raise self._changed() from error
        if left:
            raise self._changed()

    def _fetched(self, file: CloudFile, first: int) -> Iterator[bytes]:
        self._check(file.stat())
        for start in range(first, self.size, FETCHED):
            data = file.read(start, min(start + FETCHED, self.size))
            for place in range(0, len(data), BLOCK):
                yield data[place : place + BLOCK]
        self._check(file.stat())

    def _check(self, state: os.stat_result) -> None:
        if (state.st_size, state.st_mtime_ns) != (self.size, self.mtime_ns):
            raise self._changed()

    def _changed(self) -> LibraryError:
        return LibraryError(f"{self.name}: its file has changed since the archive was begun")


class StoredZip:
    """An archive of files. `checksums`: known ones, to which those that are computed are added."""

    def __init__(self, members: Sequence[Member], checksums: Checksums) -> None:
        self._members, self._checksums = members, checksums
        self._offsets: list[int] = []  # of the members' headers
        offset = 0
        for member in members:
            self._offsets.append(offset)
            offset += len(member.header) + member.size + len(member.descriptor(0))
        self._directory_offset = offset
        entries = zip(members, self._offsets, strict=True)
        self._directory_size = sum(len(member.entry(place, 0)) for member, place in entries)
        self.size = offset + self._directory_size + len(self._end())

    def read(self, first: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from `first` on, before `end`, in pieces of up to 256 kB, or of one directory.
        Pieces are empty while files before `first` are read for their checksums.

        Raises LibraryError where a file has changed or gone meanwhile.
        """
        end = self.size if end is None else min(end, self.size)
        for member, offset in zip(self._members, self._offsets, strict=True):
            if offset >= end:
                return
            begin = offset + len(member.header)
            stop = begin + member.size
            following = stop + len(member.descriptor(0))
            if following <= first:
                continue
            yield from _part(member.header, offset, first, end)
            if begin < end:
                yield from self._content(member, max(first - begin, 0), end - begin)
            if stop < end:
                checksum = yield from self._checksum(member)
                yield from _part(member.descriptor(checksum), stop, first, end)
        if first < self.size and end > self._directory_offset:
            entries = []
            for member, offset in zip(self._members, self._offsets, strict=True):
                checksum = yield from self._checksum(member)
                entries.append(member.entry(offset, checksum))
            directory = b"".join([*entries, self._end()])
            yield from _part(directory, self._directory_offset, first, end)

    def _content(self, member: Member, first: int, end: int) -> Iterator[bytes]:
        """A member's bytes from `first` on, before `end`. Read as a whole, its checksum is kept."""
        if first or end < member.size:
            left = max(min(end, member.size) - first, 0)
            for block in member.read(first) if left else ():
                yield block[:left]
                left -= len(block)
                if left <= 0:
                    return
            return
        checksum = 0
        for block in member.read():
            checksum = zlib.crc32(block, checksum)
            yield block
        self._checksums[_key(member)] = checksum

    def _checksum(self, member: Member) -> Generator[bytes, None, int]:
        """The checksum of a member, which is read for it where it is not known yet: an empty piece
        for each block."""
        known = self._checksums.get(_key(member))
        if known is None:
            known = 0
            for block in member.read():
                known = zlib.crc32(block, known)
                yield b""
            self._checksums[_key(member)] = known
        return known

    def _end(self) -> bytes:
        count, size, offset = len(self._members), self._directory_size, self._directory_offset
        end64 = b""
        if count >= _FULL_COUNT or max(size, offset) >= _FULL:
            versions = (_UNIX | _VERSION64, _VERSION64)
            place = _END64.size - 12  # bytes that follow the field
            end64 = _END64.pack(b"PK\6\6", place, *versions, 0, 0, count, count, size, offset)
            end64 += _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
        counts, sizes = [min(count, _FULL_COUNT)] * 2, (min(size, _FULL), min(offset, _FULL))
        return end64 + _END.pack(b"PK\5\6", 0, 0, *counts, *sizes, 0)


def _part(content: bytes, offset: int, first: int, end: int) -> Iterator[bytes]:
    """What of some bytes at an offset lies in a range."""
    if part := content[max(first - offset, 0) : max(end - offset, 0)]:
        yield part


def _key(member: Member) -> tuple[str, int, int]:
    if isinstance(member.content, bytes):
        return f"\0{zlib.crc32(member.content)}", member.size, 0
    return str(member.content), member.size, member.mtime_ns


def _dos_time(mtime_ns: int) -> tuple[int, int]:
    """(day, seconds) as ZIP has them, of 1980 to 2107."""
    try:
        year, month, day, hour, minute, second, *_ = time.gmtime(mtime_ns // 10**9)
    except (OverflowError, OSError, ValueError):  # whatever a file system holds
        year = 0
    if not 1980 <= year <= 2107:
        return 1 << 5 | 1, 0
    return (year - 1980) << 9 | month << 5 | day, hour << 11 | minute << 5 | second // 2
