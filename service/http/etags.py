"""Entity tags: answers that a client has already, and writes to what it has read."""

from __future__ import annotations

import hashlib


def etag(*parts: object) -> str:
    """A strong entity tag of what an answer is made of."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def has(if_none_match: str | None, own: str) -> bool:
    """Whether a request's If-None-Match says that the client has this answer."""
    return if_none_match is not None and _names(if_none_match, own)


def refuses(if_match: str | None, own: str) -> bool:
    """Whether a request's If-Match says that the client has read something else."""
    return if_match is not None and not _names(if_match, own)


def _names(tags: str, own: str) -> bool:
    given = [each.strip() for each in tags.split(",")]
    return "*" in given or own in [each.removeprefix("W/") for each in given]
