"""Listing, adding and editing clips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.filters import MAX_HITS, FilterQuery
from earmark.service.schemas.limits import (
    MAX_PEAK,
    MAX_TAGS,
    ClipSort,
    Description,
    Name,
    Recorded,
    Tag,
    Title,
)

if TYPE_CHECKING:
    from earmark.index.ingest.uploads import AddedClip
    from earmark.index.listing import ClipPage

RECORDED = "When: `2026`, `2026-05`, `2026-05-31` or `2026-05-31T06:30:00`, a zone may follow"
MAX_TAG_FIELDS = 100  # of a form; a field may list many tags

Peak = Annotated[int, Field(ge=-MAX_PEAK, le=MAX_PEAK)]


class ClipsQuery(FilterQuery):
    """What `GET /v1/clips` takes."""

    k: int = Field(10, ge=1, le=MAX_HITS, description="Clips on a page")
    cursor: str = Field("", description="`next` of the page before; empty: the first page")
    sort: ClipSort = Field("newest", description="Order of the clips")


class ClipsBody(BaseModel):
    """A page of clips."""

    clips: list[ClipBody]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    total: int = Field(description="Clips that pass the filters, over all pages")

    @classmethod
    def of(cls, page: ClipPage) -> ClipsBody:
        """From the library's page."""
        return cls(
            clips=[ClipBody(**ClipBody.fields_of(clip)) for clip in page.clips],
            next=page.next or None,
            total=page.total,
        )


class AddedBody(ClipBody):
    """The new clip."""

    twin: str | None = Field(description="Id of an earlier clip with the same sound, bit for bit")

    @classmethod
    def of(cls, added: AddedClip) -> AddedBody:
        """From the library's record."""
        return cls(**ClipBody.fields_of(added.clip), twin=added.duplicate_of or None)


class ClipChanges(BaseModel):
    """Partial metadata update: a field that is sent replaces the old value, `""` and `[]` clear it,
    fields left out stay."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"title": "Rain on a metal roof", "tags": ["rain", "metal-roof"]}]
        },
    )

    title: Title = ""
    tags: list[Tag] = Field(
        [], max_length=MAX_TAGS, description="A tag with spaces becomes a compound with hyphens"
    )
    author: Name = ""
    source: Name = ""
    licence: Name = ""
    description: Description = ""
    recorded: Recorded = Field("", description=RECORDED)


class OriginForm(BaseModel):
    """Metadata of uploaded sounds, beside their files; what is empty is read from the files."""

    tags: list[str] = Field(
        [],
        max_length=MAX_TAG_FIELDS,
        description="Separated by spaces, commas or semicolons, or as repeated fields",
    )
    author: Name = ""
    source: Name = Field("", description="Where the sound comes from, such as a collection")
    licence: Name = Field("", description="SPDX identifier, such as CC0-1.0")


class ClipForm(OriginForm):
    """Metadata of one uploaded sound, beside its file; what is empty is read from the file."""

    title: Title = Field("", description="Empty: the file's own, or made from its name")
    description: Description = ""
    recorded: Recorded = Field("", description=RECORDED)


class WaveformBody(BaseModel):
    """A sound's waveform, for drawing."""

    peaks: list[Annotated[list[Peak], Field(min_length=2, max_length=2)]] = Field(
        description="Minimum and maximum of each point, from -127 to 127"
    )
    duration: float = Field(description="Length in seconds")
