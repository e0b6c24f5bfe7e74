"""Progress of long work: a bar on a terminal, lines in a log.

All of it goes to standard error; standard output is for results.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

LINE_SECONDS = 10.0


class Progress:
    """Counts `total` steps and shows a note beside the count. Safe to share between threads."""

    def __init__(self, title: str, total: int, unit: str, *, quiet: bool = False) -> None:
        self._title, self._total, self._unit, self._quiet = title, total, unit, quiet
        self._done, self._note = 0, ""
        self._lock = threading.RLock()
        self._started = self._last_line = time.monotonic()
        self._bar = (
            tqdm(total=total, desc=title, unit=unit, file=sys.stderr, dynamic_ncols=True)
            if sys.stderr.isatty() and not quiet
            else None
        )

    def step(self, count: int = 1, note: str | None = None) -> None:
        """Count more finished steps, or none; `note` replaces the last note."""
        with self._lock:
            self._done += count
            self._note = self._note if note is None else note
            if self._bar is not None:
                if note is not None:
                    self._bar.set_postfix_str(note, refresh=not count)
                self._bar.update(count)
            elif time.monotonic() - self._last_line >= LINE_SECONDS:
                self._line()

    def write(self, text: str) -> None:
        """Print a line, above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar, or print the last line."""
        if self._bar is not None:
            self._bar.close()
        elif self._done:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        rate = self._done / max(self._last_line - self._started, 1e-9)
        speed = (
            f", {rate:.1f} {self._unit}/s, {(self._total - self._done) / rate:.0f} s left"
            if self._done
            else ""
        )
        note = f", {self._note}" if self._note else ""
        self.write(f"{self._title}: {self._done}/{self._total} {self._unit}{speed}{note}")


def clock(seconds: float) -> str:
    """A time as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@contextmanager
def progress(
    title: str, total: int, unit: str = "clips", *, quiet: bool = False
) -> Iterator[Progress]:
    """A `Progress` that is closed at the end; if `quiet`, it shows nothing."""
    steps = Progress(title, total, unit, quiet=quiet)
    try:
        yield steps
    finally:
        steps.close()
