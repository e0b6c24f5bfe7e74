"""What people say of suggested tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.index.catalogue.metadata import MAX_CHARACTERS
from earmark.index.catalogue.records import MAX_ID_CHARACTERS

if TYPE_CHECKING:
    from earmark.index.feedback import Feedback

MAX_TAGS = 1_000
MAX_FORM_TAGS = 100

Tag = Annotated[str, StringConstraints(max_length=MAX_CHARACTERS["tags"])]


class FeedbackGiven(BaseModel):
    """Tags accepted and rejected for a clip of the library."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"clip": "71f23d79680d", "accepted": ["storm"], "rejected": ["wind"]}]
        },
    )

    clip: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS, description="Its id")
    accepted: list[Tag] = Field([], max_length=MAX_TAGS)
    rejected: list[Tag] = Field([], max_length=MAX_TAGS)


class FeedbackForm(BaseModel):
    """Tags accepted and rejected for the sound in `file`, beside it."""

    model_config = ConfigDict(extra="forbid")

    accepted: list[Tag] = Field([], max_length=MAX_FORM_TAGS, description="Repeated, a tag each")
    rejected: list[Tag] = Field([], max_length=MAX_FORM_TAGS)


class FeedbackBody(BaseModel):
    """Feedback that was kept."""

    number: int
    clip: str | None = Field(description="Id of the clip it is on; none for a sound that was sent")
    title: str
    accepted: list[str]
    rejected: list[str]
    by: str | None = Field(description="Name of the key that gave it")
    at: str
    model: str = Field(description="Fingerprint of the model that answered then")

    @classmethod
    def of(cls, feedback: Feedback) -> FeedbackBody:
        """From the library's record."""
        return cls(
            number=feedback.number,
            clip=feedback.clip or None,
            title=feedback.title,
            accepted=list(feedback.accepted),
            rejected=list(feedback.rejected),
            by=feedback.by or None,
            at=feedback.at,
            model=feedback.fingerprint,
        )


class FeedbackListBody(BaseModel):
    """Feedback, the newest first."""

    feedback: list[FeedbackBody]
    next: int | None = Field(description="`before` of the next page; none after the last")
    total: int

    @classmethod
    def of(cls, records: Sequence[Feedback], k: int, total: int) -> FeedbackListBody:
        """A page of k. `records`: the k, and one more where there is a next page."""
        return cls(
            feedback=[FeedbackBody.of(record) for record in records[:k]],
            next=records[k - 1].number if len(records) > k else None,
            total=total,
        )
