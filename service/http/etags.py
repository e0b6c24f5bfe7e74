"""Entity tags, and the conditional requests that use them."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from fastapi import Header

from earmark.index.catalogue.records import Clip

# What routes state of answers that clients may cache.
CACHED = ("ETag", "Cache-Control")
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The cached answer is current"}}

IfNoneMatch = Annotated[str | None, Header(description="ETag of a cached answer")]


def etag(*parts: object) -> str:
    """A strong entity tag of the parts that determine an answer."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def clip_etag(clip: Clip) -> str:
    """The entity tag of a clip: another one after each change."""
    return etag(clip.row, clip.generation, clip.changed_at)


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether If-None-Match names this tag: the client has the answer already."""
    return if_none_match is not None and _names(if_none_match, tag)


def differs(if_match: str | None, tag: str) -> bool:
    """Whether If-Match names other tags only: the client has read an earlier state."""
    return if_match is not None and not _names(if_match, tag)


def _names(header: str, tag: str) -> bool:
    tags = [value.strip() for value in header.split(",")]
    return "*" in tags or tag in [value.removeprefix("W/") for value in tags]
