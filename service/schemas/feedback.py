"""Feedback on suggested tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from earmark.service.schemas.limits import MAX_ID_CHARACTERS, MAX_TAGS, Tag

if TYPE_CHECKING:
    from earmark.index.feedback import Feedback

MAX_FORM_TAGS = 100


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
    """Tags accepted and rejected for the sound in `file`."""

    model_config = ConfigDict(extra="forbid")

    accepted: list[Tag] = Field(
        [], max_length=MAX_FORM_TAGS, description="Repeated fields, one tag in each"
    )
    rejected: list[Tag] = Field([], max_length=MAX_FORM_TAGS)


class FeedbackBody(BaseModel):
    """Stored feedback."""

    number: int
    clip: str | None = Field(description="Id of the clip; null for a sound that was sent along")
    title: str
    accepted: list[str]
    rejected: list[str]
    by: str | None = Field(description="Name of the API key that sent it")
    at: str
    model: str = Field(description="Fingerprint of the model in use then")

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
    """A page of feedback, the newest first."""

    feedback: list[FeedbackBody]
    next: int | None = Field(description="`before` of the next page; null on the last")
    total: int

    @classmethod
    def of(cls, records: Sequence[Feedback], k: int, total: int) -> FeedbackListBody:
        """A page of k. `records`: the k, and one more where there is a next page."""
        return cls(
            feedback=[FeedbackBody.of(record) for record in records[:k]],
            next=records[k - 1].number if len(records) > k else None,
            total=total,
        )
