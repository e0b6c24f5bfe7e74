"""The bodies of HTTP answers. Times in seconds, cosines in [-1, 1], probabilities in [0, 1]."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, Field, StringConstraints

from index.filters import Filter
from index.library import Found
from index.ranking import Hit
from index.records import Clip
from service.engine import Classification, Suggestion

MAX_HITS = 100
MAX_CHOICES = 20  # of one condition

Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ClipBody(BaseModel):
    """A sound of the library."""

    id: str
    title: str
    tags: list[str]
    duration: float = Field(description="Length in seconds")
    author: str
    source: str
    licence: str
    description: str
    sample_rate: int = Field(description="Of the file, in Hz")
    channels: int
    added_at: str
    changed_at: str
    audio: str = Field(description="Where its sound is")

    @staticmethod
    def fields_of(clip: Clip) -> dict[str, Any]:
        """The clip's own fields, as the body names them."""
        return {
            "id": clip.id,
            "title": clip.title,
            "tags": list(clip.tags),
            "duration": clip.duration,
            "author": clip.author,
            "source": clip.source,
            "licence": clip.licence,
            "description": clip.description,
            "sample_rate": clip.sample_rate,
            "channels": clip.channels,
            "added_at": clip.added_at,
            "changed_at": clip.changed_at,
            "audio": f"/v1/clips/{quote(clip.id, safe='')}/audio",
        }


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


class ModelBody(BaseModel):
    """What is known of the model."""

    name: str
    fingerprint: str
    dim: int
    words: int
    vocabulary: int
    max_tags: int
    window_seconds: float
    sample_rate: int
    card: dict[str, Any]


class Health(BaseModel):
    """A probe's answer."""

    status: str


class Problem(BaseModel):
    """An error as RFC 9457 wants it; `type` leads to its description."""

    type: str
    title: str
    status: int
    detail: str
