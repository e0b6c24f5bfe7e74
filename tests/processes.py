"""The processes that this one has started."""

from __future__ import annotations

import psutil


def children(word: str) -> list[psutil.Process]:
    """Those that run and have the word in their command; one that has ended is none of them."""
    return [each for each in psutil.Process().children() if word in _command(each)]


def _command(process: psutil.Process) -> str:
    """Its arguments; nothing for one that has ended, waited for or not."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # ZombieProcess is one
        return ""
