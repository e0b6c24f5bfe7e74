"""Addresses of the service as its clients reach them: under the root path of a proxy, if any.

The root path belongs to the context (as the request's id does), since an address may stand in any
answer, problems included.
"""

from __future__ import annotations

from contextvars import ContextVar
from urllib.parse import quote

_root_path: ContextVar[str] = ContextVar("root_path", default="")


def use_root_path(path: str) -> None:
    """Put a path (`/sounds`; empty for none) before all addresses made in this context."""
    _root_path.set(path)


def address(path: str) -> str:
    """The address of a path of the service, which begins with a slash."""
    return _root_path.get() + path


def clip_address(clip_id: str, part: str = "") -> str:
    """The address of a clip, or of a part of it (`/audio`)."""
    return address(f"/v1/clips/{quote(clip_id, safe='')}{part}")


def problem_address(name: str) -> str:
    """The address that describes a type of problem."""
    return address(f"/problems/{name}")
