"""Tag suggestions and zero-shot classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from earmark.index.curation.classifiers import HeardSound
    from earmark.model.tagging import Suggestion
    from earmark.model.zero_shot import Classification


class TagWindowBody(BaseModel):
    """A window of the sound, in seconds, and the tag's probability in it."""

    start: float = Field(examples=[4.5])
    end: float = Field(examples=[6.7])
    score: float = Field(examples=[0.31])


class TagBody(BaseModel):
    """A tag with its probability; tags are independent, so the scores need not sum to 1."""

    tag: str = Field(examples=["rain"])
    score: float = Field(examples=[0.24])
    suggested: bool = Field(description="Whether the score reaches the tag's threshold")
    lift: float | None = Field(
        description="The score divided by the tag's overall rate; null where the model has no rates"
    )
    windows: list[TagWindowBody]


class TaughtTagBody(BaseModel):
    """A tag that people have taught, with its probability."""

    tag: str = Field(examples=["our-front-door"])
    classifier: str = Field(description="Id of the taught sound", examples=["our-front-door"])
    probability: float = Field(examples=[0.97])
    suggested: bool = Field(description="Whether it is more probable than not")


class TagsBody(BaseModel):
    """Suggested tags, the most telling first, not the most probable."""

    tags: list[TagBody]
    duration: float
    damaged: float = Field(
        0.0, description="Seconds of the file that could not be decoded and are left out"
    )
    known: list[str] = Field(description="Accepted tags that condition the remaining suggestions")
    ignored: list[str] = Field(description="Accepted tags that are not in the model's vocabulary")
    taught: list[TaughtTagBody] = Field(
        [], description="Tags that people have taught, the most probable first"
    )

    @classmethod
    def of(cls, suggestion: Suggestion, heard: Sequence[HeardSound] = ()) -> TagsBody:
        """From the model's suggestion, and the taught sounds that are heard."""
        body = cls.model_validate(suggestion, from_attributes=True)
        body.taught = [TaughtTagBody.model_validate(each, from_attributes=True) for each in heard]
        return body


class ClassBody(BaseModel):
    """A label and its probability."""

    label: str = Field(examples=["rain"])
    probability: float = Field(examples=[0.84])


class ClassesBody(BaseModel):
    """Labels, the most probable first; exclusive ones sum to 1."""

    classes: list[ClassBody]
    ignored: list[str] = Field(description="Words of the labels that the model does not know")
    notes: list[str] = Field(
        description="Labels that mean nearly the same to the model, or that negate",
        examples=[["“dog” and “dogs” mean nearly the same to the model"]],
    )
    taught: list[str] = Field([], description="The labels that people have taught this library")

    @classmethod
    def of(cls, classification: Classification) -> ClassesBody:
        """From the model's classification."""
        return cls.model_validate(classification, from_attributes=True)
