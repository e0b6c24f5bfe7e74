"""Edits of many clips, undoing them, and what changed when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.service.schemas.clip_edits import ClipChanges
from earmark.service.schemas.filters import MAX_HITS, FilterQuery
from earmark.service.schemas.limits import MAX_CURSOR_CHARACTERS, MAX_ID_CHARACTERS, MAX_TAGS, Tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from earmark.index.catalogue.history import Edit, PastChange
    from earmark.index.catalogue.records import Clip
    from earmark.index.curation.edits import EditResult

MAX_IDS = 10_000  # of one request
MAX_NAMED = 100  # clips that an answer names

Means = Literal["add", "edit", "bulk-edit", "undo", "review"]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_CHARACTERS)]
Etag = Annotated[str, StringConstraints(min_length=1, max_length=100)]

MEANS = (
    "`add`: read from files or a manifest; `edit`: of one clip; `bulk-edit`: of many; `undo`: of "
    "an edit; `review`: of suggested tags"
)
MADE_BY = "Name of the key that it was made with; empty without one"


class Choice(FilterQuery):
    """Conditions on clips: all must hold, none is all clips."""

    model_config = ConfigDict(extra="forbid", strict=True)

    q: str = Field(
        "",
        max_length=500,
        description="Words, as of a search: of its hits those that hold most of them or are not "
        "`unlikely`, at most 2000",
    )
    min_probability: float = Field(
        0.0, ge=0, le=1, description="Of the hits for `q`; not without words"
    )


class BulkEdit(BaseModel):
    """Which clips to change, and how. All change, or none."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"ids": ["rain-on-roof"], "set": {"licence": "CC0-1.0"}, "add_tags": ["rain"]},
                {"where": {"tag": ["rain"], "max_duration": 10}, "remove_tags": ["draft"]},
            ]
        },
    )

    ids: list[Id] | None = Field(None, max_length=MAX_IDS, description="The clips")
    where: Choice | None = Field(None, description="Instead of `ids`: all clips that pass")
    set: ClipChanges | None = Field(None, description="Fields to set; those left out stay")
    add_tags: list[Tag] = Field([], max_length=MAX_TAGS, description="Added to each clip's own")
    remove_tags: list[Tag] = Field([], max_length=MAX_TAGS, description="Taken from each clip")
    etags: dict[Id, Etag] = Field(
        default_factory=dict,
        max_length=MAX_IDS,
        description="ETags of clips as they were read, by id: where one has changed since, "
        "nothing changes",
    )


class EditBody(BaseModel):
    """What an edit did."""

    number: int | None = Field(description="To undo it; null where nothing changed")
    changed: int = Field(description="Clips that changed")
    unchanged: int = Field(description="Clips that were so already")

    @classmethod
    def of(cls, result: EditResult) -> EditBody:
        """From the library's record."""
        return cls(number=result.number, changed=result.changed, unchanged=result.unchanged)


class UndoBody(BaseModel):
    """What undoing an edit did."""

    number: int | None = Field(description="Of the undoing, to redo it; null where nothing changed")
    changed: int = Field(description="Clips that have again what they had before the edit")
    conflicts: int = Field(description="Clips that stay, as those fields have changed since")
    conflict_ids: list[str] = Field(description=f"Their ids, at most {MAX_NAMED}")

    @classmethod
    def of(cls, result: EditResult) -> UndoBody:
        """From the library's record."""
        ids = result.conflicts
        return cls(
            number=result.number,
            changed=result.changed,
            conflicts=len(ids),
            conflict_ids=list(ids[:MAX_NAMED]),
        )


class PastQuery(BaseModel):
    """Which page of what was done."""

    k: int = Field(20, ge=1, le=MAX_HITS, description="Entries on a page")
    cursor: str = Field(
        "",
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the page before; empty: the first page",
    )


class PastEditBody(BaseModel):
    """An edit, which changed clips at once."""

    number: int
    made_at: str = Field(description="ISO 8601, UTC")
    made_by: str = Field(description=MADE_BY)
    means: Means = Field(description=MEANS)
    clips: int = Field(description="Clips that it changed, without those removed since")
    undoes: int | None = Field(description="Number of the edit that it undid")
    undone_by: int | None = Field(description="Number of the edit that undid it, if that holds")

    @classmethod
    def of(cls, edit: Edit) -> PastEditBody:
        """From the library's record."""
        return cls(**{name: getattr(edit, name) for name in cls.model_fields})


class EditsBody(BaseModel):
    """A page of edits, the newest first."""

    edits: list[PastEditBody]
    next: str | None = Field(description="Cursor of the next page; null on the last")


class FieldsBody(BaseModel):
    """Fields of a clip's metadata; those left out did not change."""

    title: str = ""
    tags: list[str] = []
    author: str = ""
    source: str = ""
    licence: str = ""
    description: str = ""
    recorded: str = ""


class ClipChangeBody(BaseModel):
    """A change of a clip."""

    edit: int = Field(description="Number of the edit that it is part of")
    made_at: str = Field(description="ISO 8601, UTC")
    made_by: str = Field(description=MADE_BY)
    means: Means = Field(description=MEANS)
    undoes: int | None = Field(description="Number of the edit that it undid")
    before: FieldsBody = Field(description="The fields that changed, as they were")
    after: FieldsBody = Field(description="The same fields as they were then")

    @classmethod
    def of(cls, change: PastChange) -> ClipChangeBody:
        """From the library's record."""
        return cls(
            edit=change.edit,
            made_at=change.made_at,
            made_by=change.made_by,
            means=change.means,
            undoes=change.undoes,
            before=_fields(change.before),
            after=_fields(change.after),
        )


class HistoryBody(BaseModel):
    """A clip's changes, the newest first."""

    id: str
    added_at: str = Field(description="ISO 8601, UTC")
    changes: list[ClipChangeBody]
    next: str | None = Field(description="Cursor of the next page; null on the last")

    @classmethod
    def of(cls, clip: Clip, changes: list[PastChange], cursor: str) -> HistoryBody:
        """From the library's records."""
        return cls(
            id=clip.id,
            added_at=clip.added_at,
            changes=[ClipChangeBody.of(change) for change in changes],
            next=cursor or None,
        )


def _fields(fields: Mapping[str, Any]) -> FieldsBody:
    lists = {"tags": list(fields["tags"])} if "tags" in fields else {}
    return FieldsBody(**{**fields, **lists})
