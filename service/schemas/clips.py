"""Sounds of the library."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from index.records import Clip


class ClipBody(BaseModel):
    """A sound of the library."""

    id: str
    title: str
    tags: list[str]
    duration: float = Field(description="Length in seconds")
    author: str
    source: str
    licence: str
    description: str
    sample_rate: int = Field(description="Of the file, in Hz")
    channels: int
    added_at: str
    changed_at: str
    audio: str = Field(description="Where its sound is")

    @staticmethod
    def fields_of(clip: Clip) -> dict[str, Any]:
        """The clip's own fields, as the body names them."""
        return {
            "id": clip.id,
            "title": clip.title,
            "tags": list(clip.tags),
            "duration": clip.duration,
            "author": clip.author,
            "source": clip.source,
            "licence": clip.licence,
            "description": clip.description,
            "sample_rate": clip.sample_rate,
            "channels": clip.channels,
            "added_at": clip.added_at,
            "changed_at": clip.changed_at,
            "audio": f"/v1/clips/{quote(clip.id, safe='')}/audio",
        }
