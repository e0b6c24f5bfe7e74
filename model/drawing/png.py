"""Grey values → a PNG file (W3C, "Portable Network Graphics Specification")."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_8_BITS = (8, 0, 0, 0, 0)  # depth, colour, compression, filters, interlacing
UP = 2  # the filter of a row that holds its change from the one above


def grey_png(values: npt.NDArray[np.uint8]) -> bytes:
    """Grey values [height, width], 0 black and 255 white, as a PNG file."""
    height, width = values.shape
    rows = np.full((height, width + 1), UP, dtype=np.uint8)
    rows[:, 1:] = np.diff(values, axis=0, prepend=np.uint8(0))
    header = struct.pack(">II5B", width, height, *GREY_8_BITS)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
