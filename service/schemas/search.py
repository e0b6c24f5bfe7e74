"""Words or a sound → sounds: what is asked, and hits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)

from index.cursor import MOST_LETTERS as MAX_CURSOR
from index.filters import Filter
from index.library import Found, Search
from index.query import Query, parse, weighted
from index.ranking import Hit, Page, Sort
from model.errors import InputError
from service.schemas.clips import ClipBody

MAX_HITS = 100
MAX_CHOICES = 20  # of one condition

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Why(BaseModel):
    """Which ranking found a clip, and on what grounds."""

    sound_rank: int | None = Field(description="Rank among the nearest sounds, from 1")
    word_rank: int | None = Field(description="Rank among clips that hold its words, from 1")
    share: float = Field(description="Of the query's words that it holds; rarer ones weigh more")
    matched: list[str] = Field(description="Words of the query in its title, tags, description")


class HitBody(ClipBody):
    """A clip that was found."""

    score: float = Field(description="Fused score; 1 is first in every ranking")
    cosine: float | None = Field(description="Similarity of sound and words")
    start: float = Field(description="Where in a long sound the match is best, in seconds")
    why: Why
    alike: list[str] = Field(description="Ids of near-duplicates, where hits are to be distinct")

    @staticmethod
    def fields_of_hit(hit: Hit) -> dict[str, Any]:
        """From the library's hit."""
        return {
            **ClipBody.fields_of(hit.clip),
            "score": hit.score,
            "cosine": hit.cosine,
            "start": hit.start,
            "why": {
                "sound_rank": hit.vector_rank,
                "word_rank": hit.word_rank,
                "share": hit.share,
                "matched": list(hit.matched),
            },
            "alike": list(hit.alike),
        }

    @classmethod
    def of(cls, hit: Hit) -> HitBody:
        """From the library's hit."""
        return cls.model_validate(cls.fields_of_hit(hit))


def _known(name: str) -> str:
    if name not in HitBody.model_fields:
        raise ValueError(f"expected some of {', '.join(HitBody.model_fields)}")
    return name


FieldName = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"enum": list(HitBody.model_fields)})
]


class FilterQuery(BaseModel):
    """Which clips may be found: all conditions given must hold."""

    tag: list[Word] = Field([], max_length=MAX_CHOICES, description="Tags that a clip must have")
    any_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these tags")
    no_tag: list[Word] = Field([], max_length=MAX_CHOICES, description="None of these tags")
    min_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    max_duration: float | None = Field(None, ge=0, description="Seconds", allow_inf_nan=False)
    licence: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these licences")
    source: list[Word] = Field([], max_length=MAX_CHOICES, description="One of these sources")

    def filter(self) -> Filter:
        """As the library takes it. Raises FilterError for durations that are no range."""
        return Filter(
            all_tags=tuple(self.tag),
            any_tags=tuple(self.any_tag),
            no_tags=tuple(self.no_tag),
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            licences=tuple(self.licence),
            sources=tuple(self.source),
        )


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

    tag: Word
    weight: float = Field(1.0, ge=-10, le=10, description="0.1 to 10; below 0: none of it")


class SearchRequest(_Presentation):
    """What `POST /v1/search` takes: words, or tags with weights, or both."""

    model_config = ConfigDict(
        extra="forbid",
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

    def search(self) -> Search:
        """As the library takes it. Raises InputError."""
        query = weighted(parse(self.q), {each.tag: each.weight for each in self.tags})
        if not query.text and not query.without:
            raise InputError("q, tags: expected words, got none")
        return _search(self, query)


def _search(asked: _Presentation, query: Query) -> Search:
    return Search(query, asked.k, asked.filter(), asked.cursor, asked.distinct, asked.sort)


class PageBody(BaseModel):
    """Hits, best first, and where the next page begins."""

    hits: list[HitBody]
    next: str | None = Field(description="Cursor of the next page; none after the last")

    @classmethod
    def of(cls, page: Page) -> PageBody:
        """From the library's page."""
        return cls(hits=[HitBody.of(hit) for hit in page.hits], next=page.next or None)


class SearchBody(PageBody):
    """Hits, best first, and how the query was taken."""

    understood: list[str] = Field(description="Words that the model used")
    guessed: dict[str, str] = Field(description="Of these, the misspelt, and what they stand for")
    ignored: list[str] = Field(description="Words not used: unknown, or more than the model takes")
    without: list[str] = Field(description="Words that no hit is tagged with")

    @staticmethod
    def fields_of(found: Found) -> dict[str, Any]:
        """From the library's answer."""
        return {
            "hits": [HitBody.fields_of_hit(hit) for hit in found.hits],
            "next": found.next or None,
            "understood": found.understood.tags,
            "guessed": found.understood.guessed,
            "ignored": found.understood.ignored,
            "without": list(found.without),
        }
