"""A sound → tags, or classes of one's own."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.classifying import Classification
from service.suggesting import Suggestion


class TagWindowBody(BaseModel):
    """Where a tag was heard, in seconds, and how probable it is there."""

    start: float
    end: float
    score: float


class TagBody(BaseModel):
    """A suggested tag; scores are probabilities of each tag for itself and need not sum to 1."""

    tag: str
    score: float
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

    label: str
    probability: float


class ClassesBody(BaseModel):
    """Labels, the most probable first; exclusive ones sum to 1."""

    classes: list[ClassBody]
    ignored: list[str] = Field(description="Words of labels that the model did not use")

    @classmethod
    def of(cls, classification: Classification) -> ClassesBody:
        """From the engine's classification."""
        return cls.model_validate(classification, from_attributes=True)
