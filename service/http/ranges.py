"""The header `Range` (RFC 9110, 14): which bytes of a file a client asks for."""

from __future__ import annotations

import re

MAX_RANGES = 100

_RANGE = re.compile(r"(\d{1,400})-(\d{0,400})|-(\d{1,400})", re.ASCII)


def byte_ranges(header: str, size: int) -> list[tuple[int, int]] | None:
    """The first and last byte of each range that a file of `size` bytes has.

    None where the header is to be ignored: it is malformed, of another unit, or asks for very many.
    An empty list where the file has none of the ranges.
    """
    unit, equals, listed = header.partition("=")
    parts = [part for item in listed.split(",") if (part := item.strip(" \t"))]
    if unit.strip(" \t").lower() != "bytes" or not equals or not 0 < len(parts) <= MAX_RANGES:
        return None
    ranges = []
    for part in parts:
        found = _RANGE.fullmatch(part)
        if found is None:
            return None
        first, last, length = found.groups()
        if length is not None:
            start, end = max(0, size - int(length)), size - 1
        else:
            start, end = int(first), int(last) if last else size - 1
            if last and end < start:
                return None
        if start < size:
            ranges.append((start, min(end, size - 1)))
    return ranges
