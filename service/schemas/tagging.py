"""A sound → tags, or classes of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.model.tagging import Suggestion
    from earmark.model.zero_shot import Classification


class TagWindowBody(BaseModel):
    """Where a tag was heard, in seconds, and how probable it is there."""

    start: float = Field(examples=[4.5])
    end: float = Field(examples=[6.7])
    score: float = Field(examples=[0.31])


class TagBody(BaseModel):
    """A suggested tag; scores are probabilities of each tag for itself and need not sum to 1."""

    tag: str = Field(examples=["rain"])
    score: float = Field(examples=[0.24])
    suggested: bool = Field(description="Whether the score reaches the tag's threshold")
    lift: float | None = Field(description="How many times likelier than of any sound")
    windows: list[TagWindowBody]


class TagsBody(BaseModel):
    """Suggested tags, best first."""

    tags: list[TagBody]
    duration: float
    known: list[str] = Field(description="Known tags that the others were weighed beside")
    ignored: list[str] = Field(description="Known tags that the model does not know")

    @classmethod
    def of(cls, suggestion: Suggestion) -> TagsBody:
        """From the engine's suggestion."""
        return cls.model_validate(suggestion, from_attributes=True)


class ClassBody(BaseModel):
    """A label and its probability."""

    label: str = Field(examples=["rain"])
    probability: float = Field(examples=[0.84])


class ClassesBody(BaseModel):
    """Labels, the most probable first; exclusive ones sum to 1."""

    classes: list[ClassBody]
    ignored: list[str] = Field(description="Words of labels that the model did not use")

    @classmethod
    def of(cls, classification: Classification) -> ClassesBody:
        """From the engine's classification."""
        return cls.model_validate(classification, from_attributes=True)
