"""Bounds on a piece of work in a process of its own: time and memory."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_MEMORY = Path("/proc/self/statm")  # its first number: pages of address space


class OutOfTimeError(BaseException):
    """The work took too long. No Exception: the work must not catch it."""


@contextmanager
def bounded(seconds: float, nbytes: int) -> Iterator[None]:
    """Within, this process may compute for `seconds` and take `nbytes` more memory (on Linux).

    For the main thread of a process without other threads. Raises OutOfTimeError, MemoryError.
    """

    def raise_out_of_time(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError, ValueError):  # elsewhere than on Linux the limit stays
        used = int(_MEMORY.read_bytes().split()[0]) * resource.getpagesize()
        most = used + nbytes if hard == resource.RLIM_INFINITY else min(used + nbytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    handler = signal.signal(signal.SIGVTALRM, raise_out_of_time)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
