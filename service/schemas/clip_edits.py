"""Clips as a client lists, adds and changes them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.index.catalogue import metadata
from earmark.index.catalogue.metadata import MAX_CHARACTERS, MAX_TAGS, Metadata
from earmark.model.audio.waveform import FULL_SCALE
from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.filters import MAX_HITS, FilterQuery

if TYPE_CHECKING:
    from earmark.index.ingest.uploads import AddedClip
    from earmark.index.listing import ClipPage

MAX_TAG_FIELDS = 100  # of a form, each of which may list many

Peak = Annotated[int, Field(ge=-FULL_SCALE, le=FULL_SCALE)]
Title = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS["title"])]
Name = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS["author"])]
Text = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS["description"])]
Tag = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS["tags"])]


class ClipsQuery(FilterQuery):
    """What `GET /v1/clips` takes."""

    k: int = Field(10, ge=1, le=MAX_HITS, description="Most clips wanted")
    cursor: str = Field("", description="Of the page before: `next` of its answer")
    sort: Literal["newest", "id"] = Field("newest", description="The order of the clips")


class ClipsBody(BaseModel):
    """A page of clips."""

    clips: list[ClipBody]
    next: str | None = Field(description="Cursor of the next page; none after the last")
    total: int = Field(description="Clips that pass the filters, on all pages")

    @classmethod
    def of(cls, listed: ClipPage) -> ClipsBody:
        """From the library's list."""
        return cls(
            clips=[ClipBody(**ClipBody.fields_of(clip)) for clip in listed.clips],
            next=listed.next or None,
            total=listed.total,
        )


class AddedBody(ClipBody):
    """A clip that was added."""

    twin: str | None = Field(description="Id of an earlier clip with the very same sound")

    @classmethod
    def of(cls, added: AddedClip) -> AddedBody:
        """From the library's answer."""
        return cls(**ClipBody.fields_of(added.clip), twin=added.duplicate_of or None)


class ClipChanges(BaseModel):
    """What is to be said of a clip from now on: fields given are replaced, `""` and `[]` empty
    them, the others stay."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"title": "Rain on a metal roof", "tags": ["rain", "metal-roof"]}]
        },
    )

    title: Title = ""
    tags: list[Tag] = Field(
        [], max_length=MAX_TAGS, description="One with spaces becomes a compound with hyphens"
    )
    author: Name = ""
    source: Name = ""
    licence: Name = ""
    description: Text = ""

    def changes(self) -> dict[str, Any]:
        """Those given, by the names of `Metadata`."""
        said = Metadata(**{**self.model_dump(), "tags": tuple(self.tags)})
        return {name: getattr(said, name) for name in self.model_fields_set}


class OriginForm(BaseModel):
    """What is said of uploaded sounds, beside the files."""

    tags: list[str] = Field(
        [],
        max_length=MAX_TAG_FIELDS,
        description="Separated by spaces, commas or semicolons, or repeated",
    )
    author: Name = ""
    source: Name = Field("", description="Where it comes from: a collection, say")
    licence: Name = Field("", description="Its SPDX name: CC0-1.0")

    def said(self) -> Metadata:
        """As the library takes it."""
        tags = metadata.split_tags(self.tags)
        return Metadata(tags=tags, author=self.author, source=self.source, licence=self.licence)


class ClipForm(OriginForm):
    """What is said of one uploaded sound."""

    title: Title = Field("", description="Empty: what its file's name says")
    description: Text = ""

    def said(self) -> Metadata:
        """As the library takes it."""
        return replace(super().said(), title=self.title, description=self.description)


class WaveformBody(BaseModel):
    """A sound's outline, to be drawn."""

    peaks: list[Annotated[list[Peak], Field(min_length=2, max_length=2)]] = Field(
        description="Least and greatest of each stretch, from -127 to 127"
    )
    duration: float = Field(description="Length in seconds")
