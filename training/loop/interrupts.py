"""A run that is asked to stop (Ctrl-C, or SIGTERM before a machine is taken away)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The run was asked to stop, and has saved what it had done."""


class Wish:
    """Whether somebody wants the run to stop."""

    def __init__(self) -> None:
        self.there = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        """A signal's handler: the first is a wish, the second Ctrl-C an end at once."""
        if self.there and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.there = True


@contextmanager
def listening() -> Iterator[Wish]:
    """Take the signals as wishes; outside the main thread nobody can send any."""
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.signal(number, wish) for number in SIGNALS}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
