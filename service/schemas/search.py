"""What is asked of a search."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from earmark.index.library import Search
from earmark.index.search.cursor import MOST_LETTERS as MAX_CURSOR
from earmark.index.search.query import Query, parse, weighted
from earmark.index.search.ranking import Sort
from earmark.model.core.errors import InputError
from earmark.service.schemas.filters import MAX_HITS, FilterQuery, Word
from earmark.service.schemas.hits import HitBody


def _known(name: str) -> str:
    if name not in HitBody.model_fields:
        raise ValueError(f"expected some of {', '.join(HitBody.model_fields)}")
    return name


FieldName = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(HitBody.model_fields)})
]


class PageQuery(FilterQuery):
    """Which page of hits is wanted."""

    k: int = Field(10, ge=1, le=MAX_HITS, description="Most hits wanted")
    cursor: str = Field("", max_length=MAX_CURSOR, description="Of the page before: its `next`")
    distinct: bool = Field(False, description="Near-duplicates stand with the best of them")


class _Presentation(PageQuery):
    """How hits are to be put."""

    sort: Sort = Field("relevance", description="Order of what was found")
    fields: list[FieldName] = Field([], max_length=40, description="Of hits; none given: all")

    @field_validator("fields", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """Repeated, or separated by commas."""
        if isinstance(given, list) and all(isinstance(each, str) for each in given):
            return [name for each in given for name in each.split(",")]
        return given


class SearchQuery(_Presentation):
    """What `GET /v1/search` takes."""

    q: str = Field(
        min_length=1,
        max_length=500,
        description="Words, in any order; `-wind` for none of it, `rain^2` to weigh more",
        examples=["thunder storm -rain"],
    )

    def search(self) -> Search:
        """As the library takes it. Raises InputError."""
        if not self.q.strip():
            raise InputError("q: expected words, got only spaces")
        return _search(self, parse(self.q))


class WeightedTag(BaseModel):
    """A word that is asked for, or with a weight below 0 one that is not wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tag: Word
    weight: float = Field(1.0, ge=-10, le=10, description="0.1 to 10; below 0: none of it")


class SearchRequest(_Presentation):
    """What `POST /v1/search` takes: words, or tags with weights, or both."""

    model_config = ConfigDict(
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

    @field_validator("k", mode="before")
    @classmethod
    def _whole(cls, given: object) -> object:
        """JSON has one kind of number: 10.0 is an integer."""
        return int(given) if isinstance(given, float) and given.is_integer() else given

    def search(self) -> Search:
        """As the library takes it. Raises InputError."""
        query = weighted(parse(self.q), {each.tag: each.weight for each in self.tags})
        if not query.text and not query.without:
            raise InputError("q, tags: expected words, got none")
        return _search(self, query)


def _search(asked: _Presentation, query: Query) -> Search:
    return Search(query, asked.k, asked.filter(), asked.cursor, asked.distinct, asked.sort)
