"""What the bytes of a sound file tell about its length, without decoding.

Headers announce more than a file holds where it was cut; containers hold more than their first part
where files were joined. Sizes and positions are in bytes. Files are untrusted: every walk takes
time in proportion to the file's size, at most.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import islice

from earmark.model.audio.byte_scanner import BinaryFile, ByteScanner

TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
MAX_CHUNKS = 10_000
MAX_JOINED = 10_000  # the last of them has the rest
MAX_MISSING_PAGES = 10_000  # in one gap
PLACEHOLDER = 0x7F000000  # sizes from here on stand for "unknown yet" in 32-bit headers

_GUID_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # of Wave64's chunk "data"
_FLAC = re.compile(rb"fLaC[\0\x80]\0\0\x22")  # and the head of its first block
_OGG = re.compile(rb"OggS")


@dataclass(frozen=True)
class Structure:
    """What a container holds: `sound` bytes, `lost` bytes that it should hold or that cannot be
    read, and where further sounds begin that were joined to the first."""

    sound: int = 0
    lost: int = 0
    joined: tuple[int, ...] = ()


def structure_of(file: BinaryFile) -> Structure:
    """The structure of a WAV, RF64, Wave64, AIFF, AU, CAF, FLAC or Ogg file; of another file, or
    one whose headers make no sense, an empty one."""
    scan = ByteScanner(file)
    head = scan.read(0, 12)
    if head[:4] == b"OggS":
        return _ogg(scan)
    if head[:4] == b"fLaC" or scan.read(tag_bytes(head), 4) == b"fLaC":
        starts = islice(scan.find_all(_FLAC), 1, MAX_JOINED)
        return Structure(joined=tuple(starts))
    return _chunked(scan, head[:4])


def tag_bytes(head: bytes) -> int:
    """The length of the tag that begins with these bytes; 0 where unknown."""
    if head[:3] == b"ID3" and len(head) >= 10:
        a, b, c, d = head[6:10]
        return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 16 else 0)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        # A header tells the length of what follows, with the footer; a footer ends the tag.
        return 32 + (struct.unpack("<I", head[12:16])[0] if head[23] & 32 else 0)
    return 128 if head[:3] == b"TAG" else 0


def _chunked(scan: ByteScanner, kind: bytes) -> Structure:
    """Of files made of chunks: the first one's samples, and where others of its kind follow."""
    first: Structure | None = None
    joined: list[int] = []
    base = 0
    while (data := _data_chunk(scan, base, kind)) is not None:
        start, length = data
        present = min(max(scan.size - start, 0), length)
        first = first or Structure(present, length - present)
        base = start + length + length % 2
        if base + 12 > scan.size or scan.peek(base, 4) != kind or len(joined) == MAX_JOINED:
            break
        joined.append(base)
    return Structure(first.sound, first.lost, tuple(joined)) if first else Structure()


def _data_chunk(scan: ByteScanner, base: int, kind: bytes) -> tuple[int, int] | None:
    """(start, announced length) of the samples of the file that begins at `base`; None where
    unknown."""
    found: tuple[int, int] | None = None
    if kind == b".snd":
        offset, length = struct.unpack(">II", scan.read(base + 4, 8).ljust(8, b"\0"))
        found = base + offset, length
    elif kind == b"caff":
        return _find_chunk(scan, base + 8, ">4sq", b"data")
    elif kind == b"riff":
        return _find_wave64_data(scan, base + 40)
    elif kind in (b"FORM", b"RIFX"):
        found = _find_chunk(scan, base + 12, ">4sI", b"SSND" if kind == b"FORM" else b"data")
    elif kind in (b"RIFF", b"RF64", b"BW64"):
        found = _find_chunk(scan, base + 12, "<4sI", b"data")
        sizes = None if kind == b"RIFF" else _find_chunk(scan, base + 12, "<4sI", b"ds64")
        if found and sizes and len(data := scan.read(sizes[0] + 8, 8)) == 8:
            return found[0], struct.unpack("<q", data)[0]
    return found if found and found[1] < PLACEHOLDER else None


def _find_chunk(
    scan: ByteScanner, position: int, header: str, name: bytes
) -> tuple[int, int] | None:
    """(start, length) of the first chunk with a name, walking the headers from `position`."""
    width = struct.calcsize(header)
    for _ in range(MAX_CHUNKS):
        if position < 0 or position + width > scan.size:
            return None
        found, length = struct.unpack(header, scan.read(position, width))
        if found == name:
            return (position + width, length) if length > 0 else None
        if length < 0:
            return None
        position += width + length + (length % 2 if width == 8 else 0)
    return None


def _find_wave64_data(scan: ByteScanner, position: int) -> tuple[int, int] | None:
    for _ in range(MAX_CHUNKS):
        if position + 24 > scan.size:
            return None
        guid, length = struct.unpack("<16sq", scan.read(position, 24))
        if guid == b"data" + _GUID_TAIL:
            return (position + 24, length - 24) if length > 24 else None
        if length < 24:
            return None
        position += length + -length % 8
    return None


def _ogg(scan: ByteScanner) -> Structure:
    """Walk the pages: a stream that begins after data is a joined one; missing page numbers and
    bytes between pages are lost."""
    position = sound = lost = pages = missing = 0
    joined: list[int] = []
    has_data = False
    expected: dict[int, int] = {}  # by stream that has begun to sound, the next page's number
    while position + 27 <= scan.size:
        head = scan.read(position, 27 + 255)
        length = _page_bytes(head)
        following = position + length
        # A page that is not followed by another may be cut, and another begin inside.
        if not length or (following < scan.size and scan.peek(following, 4) != b"OggS"):
            found = scan.search(_OGG, position + 1)
            if found < following or not length:
                if found >= scan.size:
                    break
                lost, position = lost + found - position, found
                continue
        if following > scan.size:
            found = scan.search(_OGG, position + 1)
            if found >= scan.size:
                break
            lost, position = lost + found - position, found
            continue
        flags, granule, serial, number = head[5], *struct.unpack("<qII", head[6:22])
        if flags & 2:  # the first page of a stream
            if has_data:
                joined.append(position)
                has_data = False
            expected.pop(serial, None)
        else:
            has_data = True
            missing += max(0, min(number - expected.get(serial, number), MAX_MISSING_PAGES))
        if serial in expected or granule > 0:
            expected[serial] = number + 1
        position, sound, pages = following, sound + length, pages + 1
    lost += missing * (sound // max(pages, 1))
    rest = scan.read(position, 1 << 20)
    if not rest.startswith(TAGS) and rest.strip(b"\0"):
        lost += scan.size - position
    return Structure(sound, lost, tuple(joined[:MAX_JOINED]))


def _page_bytes(head: bytes) -> int:
    """The length of the Ogg page that begins with these bytes; 0 if none does."""
    if head[:4] != b"OggS":
        return 0
    return 27 + head[26] + sum(head[27 : 27 + head[26]])
