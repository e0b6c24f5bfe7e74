"""What the tools take. Everything has bounds: a client may send anything.

Filters have the names and bounds of the HTTP interface. Durations in seconds.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from earmark.service.schemas.filters import MAX_CHOICES, Date, Word
from earmark.service.schemas.limits import (
    MAX_CURSOR_CHARACTERS,
    MAX_ID_CHARACTERS,
    Description,
    Name,
    Recorded,
    Tag,
    Title,
)

MAX_HITS = 20  # of an answer: what an assistant reads costs its user
MAX_CLIPS = 50  # of a list
MAX_LISTED_TAGS = 200
MAX_SUGGESTED = 30
MAX_LABELS = 50
MAX_EDITED = 100  # clips
MAX_EDITED_TAGS = 50

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS)]
# The service takes what stands between commas for a label each.
Label = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern="^[^,]+$")]
ClipId = Annotated[Id, Field(description="Id of a clip, from another answer")]
CollectionId = Annotated[Id, Field(description="Id of a collection, from list_collections")]
Cursor = Annotated[
    str,
    Field(
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the answer before, for what follows it",
    ),
]
Choices = Annotated[list[Word], Field(max_length=MAX_CHOICES)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
EditedTags = Annotated[list[Tag], Field(max_length=MAX_EDITED_TAGS)]
EditedClips = Annotated[
    list[Id], Field(min_length=1, max_length=MAX_EDITED, description="Ids of the clips")
]


class Arguments(BaseModel):
    """Arguments of a tool; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class NoArguments(Arguments):
    """None."""


class Search(Arguments):
    """Words, and conditions that all must hold."""

    words: str = Field(
        min_length=1,
        max_length=500,
        description="What is heard, such as `rain on a metal roof`; `-wind` excludes a word",
    )
    tag: Choices = Field([], description="All of these tags")
    no_tag: Choices = Field([], description="None of these tags")
    licence: Choices = Field([], description="One of these licences, such as CC0-1.0")
    source: Choices = Field([], description="One of these sources")
    collection: Choices = Field([], description="In one of these collections, by id")
    min_duration: Seconds | None = Field(None, description="Seconds")
    max_duration: Seconds | None = Field(None, description="Seconds")
    added_after: Date = Field("", description="Added in this year, month or day, or later")
    added_before: Date = Field("", description="Added before this year, month or day")
    sort: Literal["relevance", "newest", "oldest", "shortest", "longest"] = "relevance"
    k: int = Field(10, ge=1, le=MAX_HITS, description="Sounds to find, at most")
    cursor: Cursor = ""


class OfClip(Arguments):
    """A clip of the library."""

    clip: ClipId
    file: ClassVar[str | None] = None


class OfSound(Arguments):
    """A clip of the library, or a file of this machine."""

    clip: ClipId | None = None
    file: str | None = Field(
        None, min_length=1, max_length=4_096, description="Or the path of a sound file"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.clip is None) == (self.file is None):
            raise ValueError("expected either clip or file")
        return self


class _SimilarPage(Arguments):
    k: int = Field(10, ge=1, le=MAX_HITS, description="Sounds to find, at most")
    cursor: Cursor = ""


class _SuggestedTags(Arguments):
    k: int = Field(10, ge=1, le=MAX_SUGGESTED, description="Tags to suggest, at most")


class _Labels(Arguments):
    labels: list[Label] = Field(
        min_length=1, max_length=MAX_LABELS, description="Such as `dog`, `rain`, `siren`"
    )
    multiple: bool = Field(False, description="Whether several can be true at once")


class SimilarToClip(_SimilarPage, OfClip):
    """What to find similar sounds of."""


class SimilarToSound(_SimilarPage, OfSound):
    """What to find similar sounds of."""


class TagsOfClip(_SuggestedTags, OfClip):
    """What to suggest tags for."""


class TagsOfSound(_SuggestedTags, OfSound):
    """What to suggest tags for."""


class ClassifyClip(_Labels, OfClip):
    """What to classify, and by which labels."""


class ClassifySound(_Labels, OfSound):
    """What to classify, and by which labels."""


class ListTags(Arguments):
    """How many."""

    k: int = Field(50, ge=1, le=MAX_LISTED_TAGS, description="Tags to list, at most")


class GetCollection(Arguments):
    """Which collection, and which of its clips."""

    collection: CollectionId
    k: int = Field(20, ge=1, le=MAX_CLIPS, description="Clips to list, at most")
    cursor: Cursor = ""


class EditClips(Arguments):
    """Which clips to change, and how: fields that are left out stay."""

    clips: EditedClips
    add_tags: EditedTags = []
    remove_tags: EditedTags = []
    title: Title | None = None
    description: Description | None = None
    author: Name | None = None
    source: Name | None = None
    licence: Name | None = None
    recorded: Recorded | None = Field(None, description="When, in ISO 8601")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.add_tags or self.remove_tags or self.fields()):
            raise ValueError("expected something to change, got nothing")
        return self

    def fields(self) -> dict[str, str]:
        """The fields to set."""
        return self.model_dump(exclude={"clips", "add_tags", "remove_tags"}, exclude_none=True)


class AddToCollection(Arguments):
    """Which clips to add to which collection."""

    collection: CollectionId
    clips: EditedClips


class CreateCollection(Arguments):
    """A new collection."""

    name: str = Field(min_length=1, max_length=200, description="One that no other has")
    description: str = Field("", max_length=2_000)
    clips: list[Id] = Field([], max_length=MAX_EDITED, description="Ids of its clips")
