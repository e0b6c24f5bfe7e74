"""Sounds of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from earmark.service.http.addresses import clip_address

if TYPE_CHECKING:
    from earmark.index.catalogue.records import Clip


class ClipBody(BaseModel):
    """A sound of the library."""

    id: str = Field(examples=["71f23d79680d"])
    title: str = Field(examples=["Thunder after a lightning strike"])
    tags: list[str] = Field(examples=[["thunder", "lightning", "storm"]])
    duration: float = Field(description="Length in seconds", examples=[2.73])
    author: str = Field(examples=["jrosin"])
    source: str = Field(examples=["openclonk-data"])
    licence: str = Field(examples=["CC-BY-3.0"])
    description: str
    recorded: str = Field(
        description="When, in ISO 8601: a year, month or day, or a day with a time; may be empty",
        examples=["2026-05-31T06:30:00"],
    )
    sample_rate: int = Field(description="Of the file, in Hz", examples=[24_000])
    channels: int = Field(examples=[1])
    damaged: float = Field(
        description="Seconds of the file that could not be decoded and are left out", examples=[0.0]
    )
    loudness: float | None = Field(
        description="Integrated, in LUFS (BS.1770); null for silence, and where it is not measured",
        examples=[-23.41],
    )
    category: str = Field(
        description="CatID of the Universal Category System, where the file's name has one",
        examples=["AMBForst"],
    )
    added_at: str = Field(description="ISO 8601", examples=["2026-11-23T08:25:57+00:00"])
    changed_at: str = Field(description="ISO 8601", examples=["2026-11-23T08:25:57+00:00"])
    audio: str = Field(
        description="Address of its sound", examples=["/v1/clips/71f23d79680d/audio"]
    )

    @staticmethod
    def fields_of(clip: Clip) -> dict[str, Any]:
        """The body's fields, from the library's record."""
        return {
            "id": clip.id,
            "title": clip.title,
            "tags": list(clip.tags),
            "duration": clip.duration,
            "author": clip.author,
            "source": clip.source,
            "licence": clip.licence,
            "description": clip.description,
            "recorded": clip.recorded,
            "sample_rate": clip.sample_rate,
            "channels": clip.channels,
            "damaged": clip.damaged,
            "loudness": clip.loudness,
            "category": clip.category,
            "added_at": clip.added_at,
            "changed_at": clip.changed_at,
            "audio": clip_address(clip.id, "/audio"),
        }
