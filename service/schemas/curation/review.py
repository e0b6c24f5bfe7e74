"""Suggestions for the whole library, and verdicts on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.filters import FilterQuery
from earmark.service.schemas.integers import Integer
from earmark.service.schemas.limits import (
    MAX_CURSOR_CHARACTERS,
    MAX_ID_CHARACTERS,
    MAX_TAG_CHARACTERS,
)

if TYPE_CHECKING:
    from earmark.index.curation.review import ReviewPage, TagReview
    from earmark.index.curation.suggestions import Progress
    from earmark.index.curation.verdicts import Judged

MAX_SOUNDS = 200  # on a page
MAX_VERDICTS = 500

Reviewer = Annotated[str, StringConstraints(max_length=100)]
Verdict = Literal["accept", "reject", "undecided"]


class SuggestingBody(BaseModel):
    """How far suggestions are computed."""

    state: Literal["never", "working", "stopped", "ready"] = Field(
        description="never: nobody has asked for them; working: sounds wait for theirs or are at "
        "work; stopped: before the end; ready: for all sounds, and kept so"
    )
    done: int = Field(description="Sounds, of those that were new or changed when it last began")
    total: int

    @classmethod
    def of(cls, progress: Progress) -> SuggestingBody:
        """From the library's record."""
        return cls(**vars(progress))


class TagReviewBody(BaseModel):
    """How far the review of a tag is."""

    tag: str = Field(examples=["rain"])
    waiting: int = Field(description="Suggestions without a verdict")
    accepted: int
    rejected: int
    threshold: float | None = Field(
        description="Probability from which its suggestions wait; it learns from verdicts. null "
        "for a tag that the model does not suggest",
        examples=[0.12],
    )


class TagReviewsBody(BaseModel):
    """The tags that wait for review or have a verdict, most waiting first."""

    tags: list[TagReviewBody]

    @classmethod
    def of(cls, reviews: list[TagReview]) -> TagReviewsBody:
        """From the library's records."""
        return cls(tags=[TagReviewBody(**vars(review)) for review in reviews])


class SuggestionsQuery(FilterQuery):
    """What to review, and of which clips."""

    suggested: str = Field(
        "",
        max_length=MAX_TAG_CHARACTERS,
        description="The suggested tag to review; empty: sound by sound, each with all that waits",
        examples=["rain"],
    )
    order: Literal["surest", "unsurest"] = Field(
        "surest", description="Of a tag's suggestions; or of the tags of a sound"
    )
    k: Integer = Field(20, ge=1, le=MAX_SOUNDS, description="Sounds on a page")
    cursor: str = Field(
        "",
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the page before; empty: the first page",
    )
    reviewer: Reviewer = Field(
        "", description="A name of the client's own: what it has leased is in the list as well"
    )


class LeaseBody(SuggestionsQuery):
    """What to review, and who does."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"suggested": "rain", "k": 20, "reviewer": "tab-1"}]},
    )

    reviewer: Annotated[str, StringConstraints(min_length=1, max_length=100)] = Field(
        description="A name of the client's own, such as a random one for each tab of a browser"
    )


class SuggestedTagBody(BaseModel):
    """A tag that waits for a verdict."""

    tag: str = Field(examples=["rain"])
    probability: float = Field(examples=[0.31])
    starts: list[float] = Field(
        description="Where in a long sound it is heard best: starts of windows in seconds, the "
        "best first"
    )


class SuggestedSoundBody(BaseModel):
    """A sound with tags that wait for a verdict."""

    clip: ClipBody
    tags: list[SuggestedTagBody]


class SuggestionsBody(BaseModel):
    """A page of sounds to review."""

    sounds: list[SuggestedSoundBody]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    seconds: float | None = Field(
        description="For which the page is leased; null in a list", examples=[300.0]
    )

    @classmethod
    def of(cls, page: ReviewPage) -> SuggestionsBody:
        """From the library's page."""
        sounds = [
            SuggestedSoundBody(
                clip=ClipBody(**ClipBody.fields_of(sound.clip)),
                tags=[
                    SuggestedTagBody(
                        tag=one.tag, probability=one.probability, starts=list(one.starts)
                    )
                    for one in sound.tags
                ],
            )
            for sound in page.sounds
        ]
        return cls(sounds=sounds, next=page.next or None, seconds=page.seconds)


class VerdictBody(BaseModel):
    """A verdict on a tag of a clip."""

    model_config = ConfigDict(extra="forbid", strict=True)

    clip: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS, description="Its id")
    tag: str = Field(min_length=1, max_length=MAX_TAG_CHARACTERS)
    verdict: Verdict = Field(description="undecided takes an earlier one back")


class VerdictsBody(BaseModel):
    """Verdicts, all of which are kept, or none."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"verdicts": [{"clip": "71f23d79680d", "tag": "storm", "verdict": "accept"}]}
            ]
        },
    )

    verdicts: list[VerdictBody] = Field(min_length=1, max_length=MAX_VERDICTS)
    reviewer: Reviewer = Field("", description="Who gives them, where no key says it")


class JudgedBody(BaseModel):
    """What the verdicts did."""

    accepted: int
    rejected: int
    undecided: int = Field(description="Verdicts taken back")
    unchanged: int = Field(description="Verdicts that stood already")
    gone: list[str] = Field(description="Ids of clips that are not in the library any more")
    edit: int | None = Field(description="Number of the edit that changed tags; null: none did")

    @classmethod
    def of(cls, judged: Judged) -> JudgedBody:
        """From the library's record."""
        return cls(**vars(judged))
