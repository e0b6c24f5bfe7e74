"""How many threads the libraries that compute start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def use_one_thread() -> None:
    """Let torch compute in the thread that asks, where it is loaded: others share the cores."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@contextmanager
def one_thread() -> Iterator[None]:
    """The same, for as long as the context lasts."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
