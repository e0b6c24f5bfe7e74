"""What is heard in a sound, and when."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

MAX_LANES = 50
MAX_TAGS_CHARACTERS = 500  # of one parameter, which may list many

TimelineFormat = Literal["json", "csv", "audacity", "raven"]


class TimelineQuery(BaseModel):
    """What `GET /v1/clips/{id}/timeline` takes."""

    tags: list[Annotated[str, StringConstraints(max_length=MAX_TAGS_CHARACTERS)]] = Field(
        [],
        max_length=MAX_LANES,
        description="Tags in any words, comma-separated or repeated; none: suggested ones",
    )
    format: TimelineFormat = Field(
        "json",
        description="json; csv, a table of onset, offset, tag and score; audacity, a label track; "
        "raven, a selection table",
    )


class SoundEventBody(BaseModel):
    """A stretch of the sound in which the tag is heard, in seconds; `score`: its greatest
    probability there."""

    start: float = Field(examples=[12.48])
    end: float = Field(examples=[14.4])
    score: float = Field(examples=[0.83])


class LaneBody(BaseModel):
    """A tag and the events of it, in order of time; none where it is not heard."""

    tag: str = Field(examples=["dog"])
    events: list[SoundEventBody]


class TimelineBody(BaseModel):
    """Tags in the order of the request; suggested ones with the most telling first."""

    duration: float = Field(description="Length of the sound in seconds")
    damaged: float = Field(
        description="Seconds of the file that could not be decoded and are left out"
    )
    tags: list[LaneBody]
    ignored: list[str] = Field(description="Words of the tags that the model does not know")
    notes: list[str] = Field(
        description="Tags that mean nearly the same to the model, or that negate",
        examples=[["“dog” and “dogs” mean nearly the same to the model"]],
    )
