"""Reads the files in a group of the Clonk engine (.ocg, .ocd): gzip with other magic bytes.

Inside are a scrambled header of 204 bytes, which begins with `RedWolf` and has the number of
entries at byte 36; entries of 316 bytes (name 260; then int32 packed, child, size, a count,
offset); and the data. A child entry is itself a group, not compressed again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from earmark.training.errors import CorpusError

MAGIC, GZIP = b"\x1e\x8c", b"\x1f\x8b"
HEADER, ENTRY, NAME = 204, 316, 260  # bytes
MAX_BYTES = 2**30
MAX_DEPTH = 8


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file in a group. Raises CorpusError for other data."""
    if data[:2] in (MAGIC, GZIP):
        try:
            data = zlib.decompressobj(31).decompress(GZIP + data[2:], MAX_BYTES)
        except zlib.error as error:
            raise CorpusError(f"not a Clonk group ({error})") from error
    yield from _group(data, "", 0)


def _group(data: bytes, folder: str, depth: int) -> Iterator[tuple[str, bytes]]:
    header = bytearray(byte ^ 237 for byte in data[:HEADER])
    for place in range(0, len(header) - 2, 3):
        header[place], header[place + 2] = header[place + 2], header[place]
    if len(header) < HEADER or not header.startswith(b"RedWolf") or depth > MAX_DEPTH:
        raise CorpusError(f"{folder or 'group'}: not a Clonk group")
    (count,) = struct.unpack_from("<i", header, 36)
    start = HEADER + ENTRY * count
    if not 0 <= start <= len(data):
        raise CorpusError(f"{folder or 'group'}: a Clonk group cut short")
    for number in range(count):
        entry = data[HEADER + ENTRY * number :][:ENTRY]
        name = folder + entry[:NAME].split(b"\0")[0].decode("latin-1")
        _, child, size, _, offset = struct.unpack_from("<5i", entry, NAME)
        content = data[start + offset : start + offset + size]
        if child:
            yield from _group(content, f"{name}/", depth + 1)
        else:
            yield name, content
