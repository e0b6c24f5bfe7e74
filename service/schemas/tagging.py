"""Tag suggestions and zero-shot classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
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


class TagsBody(BaseModel):
    """Suggested tags, the most telling first, not the most probable."""

    tags: list[TagBody]
    duration: float
    damaged: float = Field(
        0.0, description="Seconds of the file that could not be decoded and are left out"
    )
    known: list[str] = Field(description="Accepted tags that condition the remaining suggestions")
    ignored: list[str] = Field(description="Accepted tags that are not in the model's vocabulary")

    @classmethod
    def of(cls, suggestion: Suggestion) -> TagsBody:
        """From the model's suggestion."""
        return cls.model_validate(suggestion, from_attributes=True)


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

    @classmethod
    def of(cls, classification: Classification) -> ClassesBody:
        """From the model's classification."""
        return cls.model_validate(classification, from_attributes=True)
