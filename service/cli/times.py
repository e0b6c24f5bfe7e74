"""Times on the command line: read as seconds, m:s or h:m:s, and written as m:s or h:m:s."""

from __future__ import annotations

import argparse
import re

_TIME = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)


def seconds_of(text: str) -> float:
    """The seconds that a time means: `12.5`, `1:05` or `1:02:03.5`.

    Raises argparse.ArgumentTypeError.
    """
    found = _TIME.fullmatch(text)
    hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0, 0, 0)
    is_clock = found is not None and found[2] is not None
    if not found or (is_clock and seconds >= 60) or (found[1] is not None and minutes >= 60):
        raise argparse.ArgumentTypeError(
            f"expected seconds (12.5), m:s (1:05) or h:m:s (1:02:03), got {text!r}"
        )
    return hours * 3_600 + minutes * 60 + seconds


def clock(seconds: float, digits: int = 0) -> str:
    """Seconds as 1:02:03, without hours where there are none, with so many decimal digits."""
    parts = 10**digits
    minutes, rest = divmod(round(seconds * parts), 60 * parts)
    hours, minutes = divmod(minutes, 60)
    second = f"{rest / parts:0{digits + 3 if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02}:{second}" if hours else f"{minutes}:{second}"
