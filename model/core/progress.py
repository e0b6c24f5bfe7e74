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
WITHOUT_ESTIMATE = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


class Progress:
    """Counts `total` steps, 0 where it is not known, and shows a note beside the count.

    Safe to share between threads.
    """

    def __init__(self, title: str, total: int, unit: str, *, quiet: bool = False) -> None:
        self._title, self._total, self._unit, self._quiet = title, total, unit, quiet
        self._done, self._note = 0, ""
        self._is_amid = False  # a step that takes long: nobody knows what is left
        self._lock = threading.RLock()
        self._started = self._last_line = time.monotonic()
        delay = 0 if total else 1  # seconds: what takes less needs no bar
        self._bar = (
            tqdm(
                total=total, desc=title, unit=unit, file=sys.stderr, dynamic_ncols=True, delay=delay
            )
            if sys.stderr.isatty() and not quiet
            else None
        )

    def step(self, count: int = 1, note: str | None = None) -> None:
        """Count more finished steps, or none: amid one; `note` replaces the last note."""
        with self._lock:
            self._done += count
            is_new = note is not None and note != self._note
            self._note = self._note if note is None else note
            self._is_amid = bool(note) and not count
            if self._bar is not None:
                hides = self._is_amid and self._total > 0
                self._bar.bar_format = WITHOUT_ESTIMATE if hides else None
                if is_new:
                    self._bar.set_postfix_str(self._note, refresh=not count and self._total > 0)
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
        """End the bar, or print the last line, unless the total is not known."""
        if self._bar is not None:
            self._bar.close()
        elif self._done and self._total:
            self._line()

    def _line(self) -> None:
        self._last_line = time.monotonic()
        rate = self._done / max(self._last_line - self._started, 1e-9)
        count = f"{self._done}/{self._total}" if self._total else f"{self._done}"
        speed = f", {rate:.1f} {self._unit}/s" if self._done and self._total else ""
        if speed and not self._is_amid:
            speed += f", {(self._total - self._done) / rate:.0f} s left"
        note = f", {self._note}" if self._note else ""
        self.write(f"{self._title}: {count} {self._unit}{speed}{note}")


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
