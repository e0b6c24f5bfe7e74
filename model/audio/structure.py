"""What the bytes of a sound file tell about its length, without decoding.

Headers announce more than a file holds where it was cut; containers hold more than their first part
where files were joined; between the frames of a stream lie bytes that are no sound. `file` is open
in binary mode and may be moved; sizes and positions are in bytes.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import Protocol

TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
MAX_CHUNKS = 10_000
MAX_JOINED = 10_000  # the last of them has the rest
MAX_MISSING_PAGES = 10_000  # in one gap
PLACEHOLDER = 0x7FFF0000  # sizes from here on stand for "unknown yet" in 32-bit headers
LOOK_BACK = 1 << 16  # libFLAC reads ahead of what it decodes
SCAN_BYTES, OVERLAP = 1 << 20, 1 << 14
ID3V1_BYTES = 128

_GUID_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"  # of Wave64's chunk "data"

# Three bytes that may begin a frame; overlapping ones are found as well.
_FRAME_HEAD = re.compile(
    rb"(?=\xff(?:[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]|[\xf0\xf1\xf8\xf9]))", re.DOTALL
)
# MPEG audio: kbit/s by (version is 1, layer) and index, rates by version, samples by layer.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class BinaryFile(Protocol):
    """What reads a file, or a part of one."""

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """The new position."""

    def read(self, size: int = ..., /) -> bytes | None:
        """At most so many bytes."""

    def tell(self) -> int:
        """The position."""


@dataclass(frozen=True)
class Structure:
    """What a container holds: `sound` bytes, `lost` bytes that it should hold or that cannot be
    read, and where further sounds begin that were joined to the first."""

    sound: int = 0
    lost: int = 0
    joined: tuple[int, ...] = ()


def structure_of(file: BinaryFile) -> Structure:
    """The structure of a WAV, RF64, Wave64, AIFF, AU, CAF or Ogg file; of another file, or one
    whose headers make no sense, an empty one."""
    size = file.seek(0, os.SEEK_END)
    head = _read(file, 0, 12)
    if head[:4] == b"OggS":
        return _ogg(file, size)
    data = _data_chunk(file, size, head)
    if data is None:
        return Structure()
    start, length = data
    present, end = min(max(size - start, 0), length), start + length + length % 2
    is_joined = end + len(head) <= size and _read(file, end, 4) == head[:4]
    return Structure(present, length - present, (end,) if is_joined else ())


def next_flac(file: BinaryFile, position: int) -> int | None:
    """Where in a FLAC file another begins, after a decoder stopped at `position`."""
    if _read(file, 0, 4) != b"fLaC":
        return None
    return _find(file, max(4, position - LOOK_BACK), b"fLaC\0\0\0\x22")


def holds_more_mpeg(file: BinaryFile, position: int) -> bool:
    """Whether frames of MPEG audio follow in an MP3 after a decoder stopped at `position`: tags do
    not count."""
    head = _read(file, 0, 4)
    if head[:3] != b"ID3" and not mpeg_frame_bytes(head):
        return False
    size = file.seek(0, os.SEEK_END)
    while position < size:
        length = _bytes_to_frame(file, position, size)
        head = _read(file, position + length, 32)
        if mpeg_frame_bytes(head):
            return True
        position += length + (_tag_bytes(head) or 1)
    return False


def mpeg_structure(file: BinaryFile) -> Structure:
    """The frames of an MP3 or ADTS stream, and the bytes between them that are neither frames nor
    tags."""
    size = file.seek(0, os.SEEK_END)
    position = sound = lost = 0
    while position < size:
        head = _read(file, position, 32)
        length = mpeg_frame_bytes(head)
        if length and position + length <= size:
            sound += length
            position += length
            continue
        following = position + (_tag_bytes(head) or _bytes_to_frame(file, position + 1, size) + 1)
        is_padding = following >= size and not _read(file, position, SCAN_BYTES).strip(b"\0")
        if not head.startswith(TAGS) and not is_padding:
            lost += following - position
        position = following
    return Structure(sound, lost)


def _tag_bytes(head: bytes) -> int:
    """The length of the tag that begins with these bytes; 0 where unknown."""
    if head[:3] == b"ID3" and len(head) >= 10:
        a, b, c, d = head[6:10]
        return 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if head[5] & 16 else 0)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        # A header tells the length of what follows, with the footer; a footer ends the tag.
        return 32 + (struct.unpack("<I", head[12:16])[0] if head[23] & 32 else 0)
    return ID3V1_BYTES if head[:3] == b"TAG" else 0


def _bytes_to_frame(file: BinaryFile, start: int, size: int) -> int:
    """The bytes until a tag, or two frames of MPEG audio one after the other, or the end."""
    position = start
    while position < size:
        piece = _read(file, position, SCAN_BYTES)
        found = [_first_mpeg_frames(piece), *(piece.find(tag) for tag in TAGS)]
        if any(index >= 0 for index in found):
            return position + min(index for index in found if index >= 0) - start
        position += len(piece) - (OVERLAP if len(piece) == SCAN_BYTES else 0)
    return size - start


def mpeg_frame_bytes(head: bytes) -> int:
    """The length of the MPEG audio or ADTS frame that begins with these bytes; 0 if none does."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    layer = 4 - (head[1] >> 1 & 3)
    if layer == 4:  # ADTS has a longer sync word, and tells the length
        if head[1] & 0xF6 != 0xF0 or len(head) < 6:
            return 0
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    version, index, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or not 1 <= index <= 14 or rate == 3:
        return 0
    bits = 1_000 * _KBITS[version == 3, layer][index - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * bits // _RATES[version][rate] + padding) * 4
    samples = 576 if layer == 3 and version != 3 else 1_152
    return samples // 8 * bits // _RATES[version][rate] + padding


def _first_mpeg_frames(data: bytes) -> int:
    """Where two frames follow each other, or one ends the bytes; -1 if nowhere."""
    for match in _FRAME_HEAD.finditer(data):
        length = mpeg_frame_bytes(data[match.start() : match.start() + 6])
        following = match.start() + length
        if length and (following == len(data) or mpeg_frame_bytes(data[following : following + 6])):
            return match.start()
    return -1


def _read(file: BinaryFile, position: int, count: int) -> bytes:
    file.seek(position)
    return file.read(count) or b""


def _data_chunk(file: BinaryFile, size: int, head: bytes) -> tuple[int, int] | None:
    """(start, announced length) of the samples; None where unknown."""
    kind = head[:4]
    found: tuple[int, int] | None = None
    if kind == b".snd":
        found = struct.unpack(">II", _read(file, 4, 8).ljust(8, b"\0"))
    elif kind == b"caff":
        return _find_chunk(file, size, 8, ">4sq", b"data")
    elif kind == b"riff":
        return _find_wave64_data(file, size)
    elif kind in (b"FORM", b"RIFX"):
        found = _find_chunk(file, size, 12, ">4sI", b"SSND" if kind == b"FORM" else b"data")
    elif kind in (b"RIFF", b"RF64", b"BW64"):
        found = _find_chunk(file, size, 12, "<4sI", b"data")
        sizes = None if kind == b"RIFF" else _find_chunk(file, size, 12, "<4sI", b"ds64")
        if found and sizes and len(data := _read(file, sizes[0] + 8, 8)) == 8:
            return found[0], struct.unpack("<q", data)[0]
    return found if found and found[1] < PLACEHOLDER else None


def _find_chunk(
    file: BinaryFile, size: int, position: int, header: str, name: bytes
) -> tuple[int, int] | None:
    """(start, length) of the first chunk with a name, walking the headers from `position`."""
    width = struct.calcsize(header)
    for _ in range(MAX_CHUNKS):
        if position < 0 or position + width > size:
            return None
        found, length = struct.unpack(header, _read(file, position, width))
        if found == name:
            return (position + width, length) if length > 0 else None
        if length < 0:
            return None
        position += width + length + (length % 2 if width == 8 else 0)
    return None


def _find_wave64_data(file: BinaryFile, size: int) -> tuple[int, int] | None:
    position = 40
    for _ in range(MAX_CHUNKS):
        if position + 24 > size:
            return None
        guid, length = struct.unpack("<16sq", _read(file, position, 24))
        if guid == b"data" + _GUID_TAIL:
            return (position + 24, length - 24) if length > 24 else None
        if length < 24:
            return None
        position += length + -length % 8
    return None


def _ogg(file: BinaryFile, size: int) -> Structure:
    """Walk the pages: a stream that begins after data is a joined one; missing page numbers and
    bytes between pages are lost."""
    position = sound = lost = pages = missing = 0
    joined: list[int] = []
    has_data = False
    expected: dict[int, int] = {}  # by stream, the next page's number
    while position + 27 <= size:
        head = _read(file, position, 27 + 255)
        if head[:4] != b"OggS":
            following = _find(file, position + 1, b"OggS")
            if following is None:
                break
            lost += following - position
            position = following
            continue
        segments = head[26]
        length = 27 + segments + sum(head[27 : 27 + segments])
        if position + length > size:
            break
        flags, serial, number = head[5], *struct.unpack("<II", head[14:22])
        if flags & 2:  # the first page of a stream
            if has_data:
                joined.append(position)
                has_data = False
        else:
            has_data = True
            missing += max(0, min(number - expected.get(serial, number), MAX_MISSING_PAGES))
        expected[serial] = number + 1
        position, sound, pages = position + length, sound + length, pages + 1
    lost += missing * (sound // max(pages, 1))
    rest = _read(file, position, SCAN_BYTES)
    if not rest.startswith(TAGS) and rest.strip(b"\0"):
        lost += size - position
    return Structure(sound, lost, tuple(joined[:MAX_JOINED]))


def _find(file: BinaryFile, position: int, pattern: bytes) -> int | None:
    """The first position of a pattern at or after `position`."""
    file.seek(position)
    before = b""
    while data := file.read(SCAN_BYTES):
        piece = before + data
        index = piece.find(pattern)
        if index >= 0:
            return position - len(before) + index
        position += len(data)
        before = piece[-len(pattern) + 1 :]
    return None
