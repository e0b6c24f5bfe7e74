"""Collections: making, changing and listing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.service.schemas.filters import MAX_HITS, FilterQuery
from earmark.service.schemas.limits import MAX_CURSOR_CHARACTERS, MAX_ID_CHARACTERS, Description

if TYPE_CHECKING:
    from earmark.index.catalogue.collections import Collection

MAX_CHANGED = 10_000  # clips of one request

CollectionName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ClipName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS)]
Format = Literal["zip", "csv", "parquet"]


class KeptSearchBody(FilterQuery):
    """A search that is kept: words, conditions, or both."""

    model_config = ConfigDict(extra="forbid", strict=True)

    q: str = Field("", max_length=500, description="Words, as a search takes them; may be empty")


class CollectionBody(BaseModel):
    """A collection of clips, or of what a search finds."""

    id: str = Field(description="Never changes", examples=["storms"])
    name: str = Field(examples=["Storms"])
    description: str
    follows: KeptSearchBody | None = Field(
        description="The search whose clips it has; null where it holds clips itself"
    )
    clips: int | None = Field(
        description="How many it has; null in a list for one that follows a search", examples=[3]
    )
    created_at: str = Field(description="ISO 8601", examples=["2026-11-23T08:25:57+00:00"])
    changed_at: str = Field(
        description="ISO 8601, of its name, its description or its clips",
        examples=["2026-11-23T08:25:57+00:00"],
    )

    @classmethod
    def of(
        cls, found: Collection, follows: KeptSearchBody | None, clips: int | None
    ) -> CollectionBody:
        """From the library's record, the search that it keeps, and the number of its clips."""
        return cls(
            id=found.id,
            name=found.name,
            description=found.description,
            follows=follows,
            clips=clips,
            created_at=found.created_at,
            changed_at=found.changed_at,
        )


class CollectionsBody(BaseModel):
    """All collections: the favourites, then the others by name."""

    collections: list[CollectionBody]


class NewCollection(BaseModel):
    """A collection to make: of clips, in this order, or of what a search finds."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"name": "Storms", "clips": ["71f23d79680d"]}]},
    )

    name: CollectionName = Field(description="One that no other collection has")
    description: Description = ""
    clips: list[ClipName] = Field([], max_length=MAX_CHANGED, description="Ids")
    follows: KeptSearchBody | None = Field(
        None, description="Not beside `clips`: the collection has what this search finds"
    )


class CollectionChanges(BaseModel):
    """Partial update: fields that are left out stay."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "Thunderstorms"}]}
    )

    name: CollectionName = ""
    description: Description = ""
    follows: KeptSearchBody | None = Field(
        None, description="Another search, of a collection that follows one; null: it stays"
    )


class CollectionClipsChanges(BaseModel):
    """Changes of a collection's clips, by id: first those of `remove` leave it, then those of
    `move` and the new ones of `add` are put, in this order, before the clip `before`."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"add": ["71f23d79680d"]}]},
    )

    add: list[ClipName] = Field(
        [], max_length=MAX_CHANGED, description="One that is in it already keeps its place"
    )
    remove: list[ClipName] = Field([], max_length=MAX_CHANGED)
    move: list[ClipName] = Field([], max_length=MAX_CHANGED)
    before: ClipName | None = Field(None, description="null: at the end")


class CollectionClipsQuery(BaseModel):
    """What `GET /v1/collections/{id}/clips` takes."""

    k: int = Field(10, ge=1, le=MAX_HITS, description="Clips on a page")
    cursor: str = Field(
        "",
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the page before; empty: the first page",
    )
