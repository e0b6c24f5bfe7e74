"""Signals that stop a run: Ctrl-C (SIGINT), and SIGTERM before a machine is taken away."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class RunInterrupted(KeyboardInterrupt):
    """The run stopped on request and saved its state."""


class StopRequest:
    """Whether a signal has asked the run to stop; the signals' handler."""

    def __init__(self) -> None:
        self.is_set = False

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Note the first signal. Raise KeyboardInterrupt on Ctrl-C after it, to end at once."""
        if self.is_set and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_set = True


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Turn the signals into a stop request; outside the main thread none arrive."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
