"""How often Python's threads take turns."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

OFTEN = 0.0005  # seconds

_lock = threading.Lock()
_wishes = 0
_before = 0.0


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Long work in a thread of a process that answers requests: inside, they wait for it less."""
    global _wishes, _before  # noqa: PLW0603 (what it sets is the process's, too)
    with _lock:
        if not _wishes:
            _before = sys.getswitchinterval()
            sys.setswitchinterval(OFTEN)
        _wishes += 1
    try:
        yield
    finally:
        with _lock:
            _wishes -= 1
            if not _wishes:
                sys.setswitchinterval(_before)
