"""Sounds that people teach: classifiers, their labels, what they find and ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.service.schemas.filters import FilterQuery
from earmark.service.schemas.hits import HitBody
from earmark.service.schemas.integers import Integer
from earmark.service.schemas.limits import (
    MAX_CURSOR_CHARACTERS,
    MAX_ID_CHARACTERS,
    MAX_MOMENTS,
    MOMENTS,
)

if TYPE_CHECKING:
    from earmark.index.catalogue.classifiers import Classifier, Label

MAX_LABELS = 1_000  # of one request
MAX_ASKED = 50

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class NewClassifier(BaseModel):
    """A sound to teach."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"name": "our front door"}]}
    )

    name: Name = Field(description="Its words, where the model knows them, are a first guess")
    tag: Name | None = Field(None, description="What it suggests; null: its name")


class ClassifierChanges(BaseModel):
    """What to set of a classifier; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name | None = None
    tag: Name | None = None


class LabelGiven(BaseModel):
    """What a person says of a clip, or of a moment of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    clip: str = Field(min_length=1, max_length=MAX_ID_CHARACTERS, description="Its id")
    is_it: bool | None = Field(
        alias="is", description="Whether it is the sound; null takes back what was said"
    )
    start: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Seconds; of a moment, else null"
    )
    end: float | None = Field(None, ge=0, allow_inf_nan=False, description="Seconds")


class LabelsGiven(BaseModel):
    """Labels, of which the later one of a clip or moment counts. All are kept, or none."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "labels": [
                        {"clip": "71f23d79680d", "is": True},
                        {"clip": "0d9f6c1e22b4", "is": False, "start": 61.4, "end": 64},
                    ]
                }
            ]
        },
    )

    labels: list[LabelGiven] = Field(min_length=1, max_length=MAX_LABELS)


class ClassifierBody(BaseModel):
    """A sound that people teach."""

    id: str = Field(examples=["our-front-door"])
    name: str = Field(examples=["our front door"])
    tag: str = Field(description="What it suggests", examples=["our-front-door"])
    positives: int = Field(description="Labels that say that it is the sound")
    negatives: int = Field(description="Labels that say that it is not")
    version: int = Field(description="Fitted anew by each change of labels; 0: not yet")
    average_precision: float | None = Field(
        description="Of labels left out of the fit, from five of each; null before. Labels that "
        "were asked for are hard: a whole library is told apart better",
        examples=[0.93],
    )
    balanced_accuracy: float | None = Field(description="Of the same", examples=[0.88])
    imported: bool = Field(description="Whether it began in another library")
    model: str = Field(description="Fingerprint of the model that it is for; empty before a fit")
    created_at: str
    changed_at: str

    @classmethod
    def of(cls, found: Classifier) -> ClassifierBody:
        """From the library's record."""
        return cls(
            id=found.id,
            name=found.name,
            tag=found.tag,
            positives=found.positives,
            negatives=found.negatives,
            version=found.version,
            average_precision=found.figures.get("average_precision"),
            balanced_accuracy=found.figures.get("balanced_accuracy"),
            imported=found.imported,
            model=found.fingerprint,
            created_at=found.created_at,
            changed_at=found.changed_at,
        )


class ClassifiersBody(BaseModel):
    """All taught sounds, by name."""

    classifiers: list[ClassifierBody]


class LabelBody(BaseModel):
    """What a person said of a clip, or of a moment of it."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    clip: str
    title: str
    is_it: bool = Field(alias="is")
    start: float | None = Field(description="Seconds; null: the whole clip")
    end: float | None
    by: str | None = Field(description="Name of the API key")
    at: str


class LabelsBody(BaseModel):
    """All labels of a classifier, the last one first."""

    labels: list[LabelBody]

    @classmethod
    def of(cls, found: Sequence[Label]) -> LabelsBody:
        """From the library's records."""
        return cls(
            labels=[
                LabelBody.model_validate(
                    {
                        "clip": label.clip,
                        "title": label.title,
                        "is": label.right,
                        "start": label.start if label.end else None,
                        "end": label.end or None,
                        "by": label.by or None,
                        "at": label.at,
                    }
                )
                for label in found
            ]
        )


class AskQuery(BaseModel):
    """How many clips to ask about."""

    k: int = Field(5, ge=1, le=MAX_ASKED, description="Clips")
    moments: int = Field(MOMENTS, ge=0, le=MAX_MOMENTS, description="Moments of each, at most")


class AskedBody(BaseModel):
    """Clips to label next: first the surest, then those that the classifier is least sure of."""

    version: int = Field(description="Of the classifier that asks")
    hits: list[HitBody]


class ExportedClassifier(BaseModel):
    """A classifier for another library of the same model. Plain numbers, no code."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal["earmark-classifier"]
    version: Literal[1]
    name: Name
    tag: Name
    fingerprint: str = Field(max_length=200, description="Of the model")
    dim: Integer = Field(ge=1, le=100_000)
    vector: str = Field(
        max_length=600_000, description="`dim` numbers of float32, little-endian, in base64"
    )
    bias: float = Field(gt=-1e6, lt=1e6)
    figures: dict[str, Any] = Field(default_factory=dict, max_length=20)


class HitsQuery(FilterQuery):
    """Which clips to rank, and which page."""

    k: int = Field(10, ge=1, le=100, description="Hits on a page")
    cursor: str = Field(
        "",
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the page before; empty: the first page",
    )
    distinct: bool = Field(
        False, description="List near-duplicates with the best of them, not as hits of their own"
    )
    min_probability: float = Field(
        0.0, ge=0, le=1, description="0.5: only what the classifier says is the sound"
    )
    moments: int = Field(MOMENTS, ge=0, le=MAX_MOMENTS, description="Moments of each hit, at most")
