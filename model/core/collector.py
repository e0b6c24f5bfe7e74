"""Python's garbage collector, kept from stopping all threads while one makes many objects."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0
_was_enabled = False


@contextmanager
def no_collection() -> Iterator[None]:
    """Within, in any thread, no objects in cycles are collected; those that nothing refers to are
    freed as ever. A collection of a large library's objects stops a search for tens of
    milliseconds."""
    global _users, _was_enabled  # noqa: PLW0603 - the collector is one for the process
    with _lock:
        if _users == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _was_enabled:
                gc.enable()
