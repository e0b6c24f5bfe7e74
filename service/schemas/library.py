"""Statistics of the library."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.index.facets import NameCounts
    from earmark.index.files.missing import MissingSummary
    from earmark.index.statistics import LibraryStatistics

MAX_TAGS = 10_000
MAX_NAMES = 200  # licences, and sources, that are listed


class LibraryQuery(BaseModel):
    """What `GET /v1/library` takes."""

    tags: int = Field(200, ge=0, le=MAX_TAGS, description="Tags to list, at most")


class ModelName(BaseModel):
    """The model that the library was made with; `GET /v1/model` describes it."""

    name: str
    fingerprint: str = Field(examples=["55626deeab6891b4"])


class TagCount(BaseModel):
    """A tag and the number of clips with it."""

    tag: str = Field(examples=["rain"])
    count: int


class LicenceCount(BaseModel):
    """A licence and the number of clips under it."""

    licence: str = Field(examples=["CC0-1.0"])
    count: int


class SourceCount(BaseModel):
    """A source and the number of clips from it."""

    source: str = Field(examples=["openclonk-data"])
    count: int


class Different(BaseModel):
    """The numbers of different tags, licences and sources, listed or not."""

    tags: int
    licences: int
    sources: int


class FailedFile(BaseModel):
    """A file that could not be added, and why."""

    name: str = Field(examples=["notes.txt"])
    reason: str = Field(examples=["not a sound this can read (Format not recognised)"])


class FailedFiles(BaseModel):
    """The number of files that could not be added, and the last of them, the latest first."""

    total: int
    latest: list[FailedFile]


class MissingSound(BaseModel):
    """A clip whose file is gone: `name` is the file's, without its folders."""

    id: str
    title: str
    name: str = Field(examples=["rain-1.wav"])


class MissingSounds(BaseModel):
    """The number of sounds whose files are gone, and the first of them that were added."""

    total: int
    first: list[MissingSound]

    @classmethod
    def of(cls, summary: MissingSummary) -> MissingSounds:
        """From the summary of missing sounds."""
        return cls(
            total=summary.total,
            first=[
                MissingSound(id=sound.id, title=sound.title, name=PurePath(sound.path).name)
                for sound in summary.first
            ],
        )


class LibraryBody(BaseModel):
    """Statistics of the library; counts are listed with the most frequent first."""

    clips: int
    seconds: float = Field(description="Total length of the sounds")
    generation: int = Field(description="Number of writes to the library so far")
    index: str = Field(
        description="Kind of the index, for display", examples=["flat, exact, float32"]
    )
    model: ModelName
    tags: list[TagCount]
    licences: list[LicenceCount]
    sources: list[SourceCount]
    different: Different
    failures: FailedFiles
    missing: MissingSounds | None = Field(
        None, description="Looked for at most once a minute; null before the first look is over"
    )

    @classmethod
    def of(
        cls,
        summary: LibraryStatistics,
        missing: MissingSummary | None,
        index: str,
        model: ModelName,
        most_tags: int,
    ) -> LibraryBody:
        """From the library's summary, and that of its missing sounds."""
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
                latest=[FailedFile(name=file.name, reason=file.reason) for file in summary.latest],
            ),
            missing=None if missing is None else MissingSounds.of(missing),
        )


def _few(counts: NameCounts) -> NameCounts:
    return counts[:MAX_NAMES]
