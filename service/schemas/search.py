"""Query strings and bodies of searches."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from earmark.service.schemas.filters import MAX_HITS, FilterQuery, Word
from earmark.service.schemas.hits import HitBody
from earmark.service.schemas.integers import Integer
from earmark.service.schemas.limits import MAX_CURSOR_CHARACTERS, MAX_MOMENTS, MOMENTS, Sort


def _check_field(name: str) -> str:
    if name not in HitBody.model_fields:
        raise ValueError(f"expected some of {', '.join(HitBody.model_fields)}")
    return name


FieldName = Annotated[
    str, AfterValidator(_check_field), Field(json_schema_extra={"enum": list(HitBody.model_fields)})
]


class PageQuery(FilterQuery):
    """Which clips to find, and which page of the hits."""

    k: Integer = Field(10, ge=1, le=MAX_HITS, description="Hits on a page")
    cursor: str = Field(
        "",
        max_length=MAX_CURSOR_CHARACTERS,
        description="`next` of the page before; empty: the first page",
    )
    distinct: bool = Field(
        False, description="List near-duplicates with the best of them, not as hits of their own"
    )
    min_probability: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Only hits that are right with this probability at least; without effect "
        "where the model does not tell",
    )
    moments: Integer = Field(
        MOMENTS, ge=0, le=MAX_MOMENTS, description="Moments of each hit, at most"
    )


class SortedPageQuery(PageQuery):
    """Which page of the hits, in which order, with which fields."""

    sort: Sort = Field("relevance", description="Order of the hits")
    fields: list[FieldName] = Field(
        [], max_length=40, description="Fields of each hit; none named: all"
    )

    @field_validator("fields", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Repeated, or separated by commas."""
        if isinstance(value, list) and all(isinstance(names, str) for names in value):
            return [name for names in value for name in names.split(",")]
        return value


class SearchQuery(SortedPageQuery):
    """What `GET /v1/search` takes."""

    q: str = Field(
        min_length=1,
        max_length=500,
        description="Words, in any order; `-wind` excludes a word, `rain^2` gives it more weight",
        examples=["thunder storm -rain"],
    )
    typing: bool = Field(
        False,
        description="The words are being typed: the last one, from three letters on, may be half "
        "typed, unless a space follows it",
    )


class WeightedTag(BaseModel):
    """A word to search for, or one to exclude where its weight is below 0."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tag: Word
    weight: float = Field(1.0, ge=-10, le=10, description="0.1 to 10; below 0 excludes the word")


class WeightedSearchQuery(SortedPageQuery):
    """What `POST /v1/search` takes: words, or tags with weights, or both."""

    __qualname__ = "SearchRequest"  # its name in the OpenAPI document, which clients build on

    model_config = ConfigDict(
        title="SearchRequest",
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "q": "storm",
                    "tags": [{"tag": "thunder", "weight": 2}, {"tag": "rain", "weight": -1}],
                    "max_duration": 10,
                    "fields": ["id", "title", "score"],
                }
            ]
        },
    )

    q: str = Field("", max_length=500, description="As in GET")
    tags: list[WeightedTag] = Field([], max_length=50)
