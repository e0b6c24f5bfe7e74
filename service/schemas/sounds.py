"""A sound → tags, or classes of one's own."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.engine import Classification, Suggestion


class TagWindowBody(BaseModel):
    """Where a tag was heard."""

    start: float
    score: float


class TagBody(BaseModel):
    """A suggested tag; scores are probabilities of each tag for itself and need not sum to 1."""

    tag: str
    score: float
    windows: list[TagWindowBody]


class TagsBody(BaseModel):
    """Suggested tags, best first."""

    tags: list[TagBody]
    duration: float

    @classmethod
    def of(cls, suggestion: Suggestion) -> TagsBody:
        """From the engine's suggestion."""
        return cls.model_validate(suggestion, from_attributes=True)


class ClassBody(BaseModel):
    """A label and its probability."""

    label: str
    probability: float


class ClassesBody(BaseModel):
    """Labels, the most probable first; probabilities sum to 1."""

    classes: list[ClassBody]
    ignored: list[str] = Field(description="Words of labels that the model did not use")

    @classmethod
    def of(cls, classification: Classification) -> ClassesBody:
        """From the engine's classification."""
        return cls.model_validate(classification, from_attributes=True)
