"""Words or a sound → sounds: what is asked, and hits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from index.filters import Filter
from index.library import Found
from index.ranking import Hit
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

    @classmethod
    def of(cls, hit: Hit) -> HitBody:
        """From the library's hit."""
        return cls(
            **ClipBody.fields_of(hit.clip),
            score=hit.score,
            cosine=hit.cosine,
            start=hit.start,
            why=Why(
                sound_rank=hit.vector_rank,
                word_rank=hit.word_rank,
                share=hit.share,
                matched=list(hit.matched),
            ),
            alike=list(hit.alike),
        )


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


class SearchQuery(FilterQuery):
    """What `GET /v1/search` takes."""

    q: str = Field(
        min_length=1,
        max_length=500,
        description="Words, in any order; `-wind` for none of it, `rain^2` to weigh more",
    )
    k: int = Field(10, ge=1, le=MAX_HITS, description="Most hits wanted")
    cursor: str = Field("", description="Of the page before: `next` of its answer")
    distinct: bool = Field(False, description="Near-duplicates stand with the best of them")


class SearchBody(BaseModel):
    """Hits, best first, and how the query was taken."""

    hits: list[HitBody]
    next: str | None = Field(description="Cursor of the next page; none after the last")
    understood: list[str] = Field(description="Words that the model used")
    guessed: dict[str, str] = Field(description="Of these, the misspelt, and what they stand for")
    ignored: list[str] = Field(description="Words not used: unknown, or more than the model takes")
    without: list[str] = Field(description="Words that no hit is tagged with")

    @classmethod
    def of(cls, found: Found) -> SearchBody:
        """From the library's answer."""
        return cls(
            hits=[HitBody.of(hit) for hit in found.hits],
            next=found.next or None,
            understood=found.understood.tags,
            guessed=found.understood.guessed,
            ignored=found.understood.ignored,
            without=list(found.without),
        )
