"""Facets: how many of the clips of a query have each tag, source, licence and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from earmark.service.schemas.filters import FilterQuery
from earmark.service.schemas.library import LicenceCount, SourceCount, TagCount

if TYPE_CHECKING:
    from earmark.index.facets import Facets, RangeCount

MAX_NAMES = 1_000  # of a facet


class FacetsQuery(FilterQuery):
    """What `GET /v1/facets` takes: the words and conditions of a search."""

    q: str = Field("", max_length=500, description="As in a search; empty: all clips that pass")
    typing: bool = Field(False, description="As in a search")
    min_probability: float = Field(0.0, ge=0, le=1, description="As in a search, with words")
    names: int = Field(
        20,
        ge=0,
        le=MAX_NAMES,
        description="Tags, licences, sources, categories, collections and taught sounds to list of "
        "each, at most",
    )


class CategoryCount(BaseModel):
    """A category and the number of clips in it."""

    category: str = Field(examples=["AMBForst"])
    count: int


class SampleRateCount(BaseModel):
    """A sample rate in Hz and the number of clips with it."""

    sample_rate: int = Field(examples=[48_000])
    count: int


class ChannelsCount(BaseModel):
    """A number of channels and the number of clips with it."""

    channels: int = Field(examples=[2])
    count: int


class RangeBody(BaseModel):
    """A range, both ends included, and the number of clips in it; null: no end."""

    min: float | None
    max: float | None
    count: int


class MonthCount(BaseModel):
    """A month and the number of clips added in it (UTC)."""

    month: str = Field(examples=["2026-11"])
    count: int


class HeldCount(BaseModel):
    """A collection that holds clips itself, and how many of these."""

    collection: str = Field(description="Its id", examples=["storms"])
    name: str = Field(examples=["Storms"])
    count: int


class TaughtCount(BaseModel):
    """A taught sound, and how many clips it takes for it."""

    classifier: str = Field(description="Its id", examples=["our-front-door"])
    name: str = Field(examples=["our front door"])
    count: int


class FacetsBody(BaseModel):
    """The clips of a query, and how many have each value. What none has is not listed."""

    total: int = Field(description="Clips of the query")
    tags: list[TagCount] = Field(description="The most frequent first, as all names")
    licences: list[LicenceCount]
    sources: list[SourceCount]
    categories: list[CategoryCount]
    sample_rates: list[SampleRateCount] = Field(description="Ascending, as all numbers")
    channels: list[ChannelsCount]
    durations: list[RangeBody] = Field(description="Seconds")
    loudness: list[RangeBody] = Field(description="LUFS")
    added: list[MonthCount] = Field(description="The newest first")
    collections: list[HeldCount]
    classifiers: list[TaughtCount] | None = Field(
        description="null where there are too many for a library of this size: over 32, or over a "
        "million times clips"
    )

    @classmethod
    def of(cls, facets: Facets) -> FacetsBody:
        """From the library's facets."""
        return cls(
            total=facets.total,
            tags=[TagCount(tag=name, count=count) for name, count in facets.tags],
            licences=[LicenceCount(licence=name, count=count) for name, count in facets.licences],
            sources=[SourceCount(source=name, count=count) for name, count in facets.sources],
            categories=[
                CategoryCount(category=name, count=count) for name, count in facets.categories
            ],
            sample_rates=[
                SampleRateCount(sample_rate=rate, count=count)
                for rate, count in facets.sample_rates
            ],
            channels=[ChannelsCount(channels=own, count=count) for own, count in facets.channels],
            durations=[_range(own) for own in facets.durations],
            loudness=[_range(own) for own in facets.loudness],
            added=[MonthCount(month=month, count=count) for month, count in facets.added],
            collections=[
                HeldCount(collection=own.id, name=own.name, count=own.count)
                for own in facets.collections
            ],
            classifiers=None
            if facets.classifiers is None
            else [
                TaughtCount(classifier=own.id, name=own.name, count=own.count)
                for own in facets.classifiers
            ],
        )


def _range(own: RangeCount) -> RangeBody:
    return RangeBody(min=own.minimum, max=own.maximum, count=own.count)
