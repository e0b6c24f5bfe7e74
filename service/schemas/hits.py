"""Sounds that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from earmark.service.schemas.clips import ClipBody

if TYPE_CHECKING:
    from earmark.index.library import Found
    from earmark.index.search.ranking import Hit, Page


class Why(BaseModel):
    """Which ranking found a clip, and on what grounds."""

    sound_rank: int | None = Field(description="Rank among the nearest sounds, from 1")
    word_rank: int | None = Field(description="Rank among clips that hold its words, from 1")
    share: float = Field(description="Of the query's words that it holds; rarer ones weigh more")
    matched: list[str] = Field(
        description="Words of the query in its title, tags, description, or others there that "
        "stand for them"
    )


class HitBody(ClipBody):
    """A clip that was found."""

    score: float = Field(description="Fused score; 1 is first in every ranking", examples=[1.0])
    cosine: float | None = Field(description="Similarity of sound and words", examples=[0.87])
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

    understood: list[str] = Field(
        description="Words that the model used", examples=[["thunder", "storm"]]
    )
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
