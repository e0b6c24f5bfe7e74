"""Hits of a search, pages of them, and why each was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field

from earmark.service.schemas.clips import ClipBody

if TYPE_CHECKING:
    from earmark.index.types import Hit, Page


class Why(BaseModel):
    """Why a search found a clip: its rank among sounds, and among words."""

    sound_rank: int | None = Field(description="Rank among the nearest sounds, from 1")
    word_rank: int | None = Field(description="Rank among clips that hold its words, from 1")
    share: float = Field(
        description="Share of the query's words that it holds; rare words weigh more"
    )
    matched: list[str] = Field(
        description="Words of the query in its title, tags or description, or parts of words in "
        "scripts without spaces; or, where no clip holds a word, words that begin with it if it is "
        "the last, and related words"
    )


class MomentBody(BaseModel):
    """A part of a sound where the query is heard best."""

    start: float = Field(description="Seconds from the start of the sound", examples=[61.44])
    end: float = Field(description="Seconds from the start of the sound", examples=[64.0])
    score: float = Field(description="Similarity of this part and the query", examples=[0.62])


class HitBody(ClipBody):
    """A clip that a search found."""

    score: float = Field(
        description="Fused score, 0 to 1; 1 is first in both rankings", examples=[1.0]
    )
    cosine: float | None = Field(description="Similarity of sound and words", examples=[0.87])
    probability: float | None = Field(
        description="Of being right, 0 to 1; null where the model does not tell", examples=[0.93]
    )
    confidence: Literal["sure", "maybe", "unlikely"] | None = Field(
        description="The probability in a word; null where the model does not tell",
        examples=["sure"],
    )
    start: float = Field(description="Where the best of `moments` starts, in seconds; else 0")
    moments: list[MomentBody] = Field(
        description="Where in a sound of several windows it matches, best first"
    )
    why: Why
    alike: list[str] = Field(description="Ids of near-duplicates, with `distinct`")

    @staticmethod
    def fields_of_hit(hit: Hit) -> dict[str, Any]:
        """The fields, from the library's hit."""
        return {
            **ClipBody.fields_of(hit.clip),
            "score": hit.score,
            "cosine": hit.cosine,
            "probability": hit.probability,
            "confidence": hit.confidence,
            "start": hit.start,
            "moments": [vars(moment) for moment in hit.moments],
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
    """A page of hits, best first, and the cursor of the next page."""

    hits: list[HitBody]
    next: str | None = Field(description="Cursor of the next page; null on the last page")
    sure: int | None = Field(
        description="How many hits are sure, of the best candidates of this search: the 100 "
        "nearest, and 100 that hold most of its words; null where the model does not tell"
    )

    @classmethod
    def of(cls, page: Page) -> PageBody:
        """From the library's page."""
        hits = [HitBody.of(hit) for hit in page.hits]
        return cls(hits=hits, next=page.next or None, sure=page.sure)


class SearchBody(PageBody):
    """A page of hits, best first, and how the query was understood."""

    understood: list[str] = Field(
        description="Words that the model uses", examples=[["thunder", "storm"]]
    )
    guessed: dict[str, str] = Field(
        description="Words that are misspelt or half typed, and the words they are taken for"
    )
    ignored: list[str] = Field(
        description="Words not used: neither by the model nor to search titles, tags and texts"
    )
    without: list[str] = Field(description="Words that no hit is tagged with")

    @staticmethod
    def fields_of(page: Page) -> dict[str, Any]:
        """The fields, from the library's page of a search by words."""
        understood = page.understood
        assert understood is not None, "a search by words"
        return {
            "hits": [HitBody.fields_of_hit(hit) for hit in page.hits],
            "next": page.next or None,
            "sure": page.sure,
            "understood": understood.tags,
            "guessed": understood.guessed,
            "ignored": understood.ignored,
            "without": list(page.without),
        }
