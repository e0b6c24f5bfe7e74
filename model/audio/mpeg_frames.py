"""The frames of MP3 and AAC (ADTS) streams, which follow each other without a container."""

from __future__ import annotations

import re

from earmark.model.audio.byte_scanner import BinaryFile, ByteScanner
from earmark.model.audio.structure import TAGS, Structure, tag_bytes

# What may begin a frame or a tag.
_CANDIDATE = re.compile(
    rb"\xff(?:[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]|[\xf0\xf1\xf8\xf9])"
    rb"|ID3|TAG|APETAGEX|LYRICSBEGIN",
    re.DOTALL,
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


def mpeg_structure(file: BinaryFile) -> Structure:
    """The frames of a stream, and the bytes between them that are neither frames nor tags."""
    scan = ByteScanner(file)
    position = sound = lost = 0
    like = b""  # what frames begin with
    while position < scan.size:
        head = scan.read(position, 32)
        length = mpeg_frame_bytes(head)
        if length and position + length <= scan.size:
            sound, position, like = sound + length, position + length, head[:2]
            continue
        following = position + tag_bytes(head)
        if following == position:
            following = _next(scan, position + 1, like)
            is_padding = following >= scan.size and not scan.read(position, 1 << 20).strip(b"\0")
            if not head.startswith(TAGS) and not is_padding:
                lost += following - position
        position = following
    return Structure(sound, lost)


def holds_more_mpeg(file: BinaryFile, position: int) -> bool:
    """Whether frames follow in an MP3 after a decoder stopped at `position`: tags do not count."""
    scan = ByteScanner(file)
    head = scan.read(0, 4)
    if head[:3] != b"ID3" and not mpeg_frame_bytes(head):
        return False
    while (position := _next(scan, position, b"")) < scan.size:
        head = scan.read(position, 32)
        if mpeg_frame_bytes(head):
            return True
        position += tag_bytes(head) or 1
    return False


def _next(scan: ByteScanner, position: int, like: bytes) -> int:
    """Where the next tag or frame begins: one like those before, or two that follow each other;
    the file's size if nowhere."""
    while (position := scan.search(_CANDIDATE, position)) < scan.size:
        head = scan.read(position, 32)
        if head.startswith(TAGS):
            break
        length = mpeg_frame_bytes(head)
        following = position + length
        if length and (
            head[:2] == like or following == scan.size or mpeg_frame_bytes(scan.peek(following, 6))
        ):
            break
        position += 1
    return position


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
