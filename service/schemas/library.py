"""What a library holds, in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.index.statistics import LibraryStatistics, NameCounts

MOST_TAGS = 10_000
MOST_NAMES = 200  # of licences and of sources


class LibraryQuery(BaseModel):
    """What `GET /v1/library` takes."""

    tags: int = Field(200, ge=0, le=MOST_TAGS, description="Most tags wanted")


class ModelName(BaseModel):
    """Which model made a library; `GET /v1/model` tells more."""

    name: str
    fingerprint: str = Field(examples=["55626deeab6891b4"])


class TagCount(BaseModel):
    """A tag, and how many clips have it."""

    tag: str = Field(examples=["rain"])
    count: int


class LicenceCount(BaseModel):
    """A licence, and how many clips have it."""

    licence: str = Field(examples=["CC0-1.0"])
    count: int


class SourceCount(BaseModel):
    """A source, and how many clips are from it."""

    source: str = Field(examples=["openclonk-data"])
    count: int


class Different(BaseModel):
    """How many different ones there are, listed or not."""

    tags: int
    licences: int
    sources: int


class FailedFile(BaseModel):
    """A file that could not be added: its name, and why."""

    name: str = Field(examples=["notes.txt"])
    reason: str = Field(examples=["not a sound this can read (Format not recognised)"])


class FailedFiles(BaseModel):
    """How many files could not be added, and the last of them, the latest first."""

    total: int
    latest: list[FailedFile]


class LibraryBody(BaseModel):
    """What the library holds, in figures; what is counted stands with the most frequent first."""

    clips: int
    seconds: float = Field(description="Of sound in all")
    generation: int = Field(description="Writes that the library has seen")
    index: str = Field(description="Its kind, for people", examples=["flat, exact, float32"])
    model: ModelName
    tags: list[TagCount]
    licences: list[LicenceCount]
    sources: list[SourceCount]
    different: Different
    failures: FailedFiles

    @classmethod
    def of(
        cls, summary: LibraryStatistics, index: str, model: ModelName, most_tags: int
    ) -> LibraryBody:
        """From the library's summary."""
        return cls(
            clips=summary.clips,
            seconds=summary.seconds,
            generation=summary.generation,
            index=index,
            model=model,
            tags=[TagCount(tag=name, count=count) for name, count in summary.tags[:most_tags]],
            licences=[
                LicenceCount(licence=name, count=count) for name, count in _few(summary.licences)
            ],
            sources=[
                SourceCount(source=name, count=count) for name, count in _few(summary.sources)
            ],
            different=Different(
                tags=len(summary.tags),
                licences=len(summary.licences),
                sources=len(summary.sources),
            ),
            failures=FailedFiles(
                total=summary.failures,
                latest=[FailedFile(name=each.name, reason=each.reason) for each in summary.latest],
            ),
        )


def _few(counts: NameCounts) -> NameCounts:
    return counts[:MOST_NAMES]
