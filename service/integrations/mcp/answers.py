"""What the tools answer: structured content, and a short text of it.

Texts come from whoever added the sounds: they are cut, and kept in one line, so that a title cannot
pass for a line of the answer. Durations and times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

from pydantic import BaseModel, Field

from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.curation.collections import CollectionBody
from earmark.service.schemas.curation.edits import EditBody
from earmark.service.schemas.hits import HitBody
from earmark.service.schemas.library import LibraryBody
from earmark.service.schemas.tagging import ClassesBody, TagsBody

MAX_NAME, MAX_TITLE, MAX_TEXT = 100, 200, 1_500  # letters
MAX_TAGS = 15  # of a sound
MAX_MOMENTS = 3
MAX_COLLECTIONS = 100


def line(text: str, most: int = MAX_NAME) -> str:
    """The text in one line of `most` letters, without control characters."""
    start = text[: 4 * most]  # no more is looked at, however long it is
    flat = " ".join("".join(each if each.isprintable() else " " for each in start).split())
    whole = len(flat) <= most and len(start) == len(text)
    return flat if whole else f"{flat[: most - 1]}…"


class Answer(BaseModel):
    """A tool's answer."""

    def text(self) -> str:
        """It as a person reads it."""
        return "\n".join(self.lines())

    def lines(self) -> Iterable[str]:
        """The lines of that."""
        raise NotImplementedError


class Sound(Answer):
    """A sound of the library."""

    id: str
    title: str
    tags: list[str] = Field(description=f"At most {MAX_TAGS}")
    duration: float = Field(description="Seconds")
    licence: str = Field(description="Empty where it is not known")
    author: str = Field(description="To be named where the licence asks for it")
    source: str
    audio: str = Field(description="Address of its sound")

    @classmethod
    def fields_of(cls, clip: ClipBody, address: str) -> dict[str, object]:
        """The fields, from the service's answer and the sound's address."""
        return {
            "id": clip.id,
            "title": line(clip.title, MAX_TITLE),
            "tags": [line(tag) for tag in clip.tags[:MAX_TAGS]],
            "duration": round(clip.duration, 2),
            "licence": line(clip.licence),
            "author": line(clip.author),
            "source": line(clip.source),
            "audio": address,
        }

    @classmethod
    def of(cls, clip: ClipBody, address: str) -> Self:
        """From the service's answer, and the sound's address."""
        return cls.model_validate(cls.fields_of(clip, address))

    def lines(self) -> Iterable[str]:
        """Two lines."""
        yield f"{self.title} [{line(self.id, 200)}], {self.duration:g} s: {', '.join(self.tags)}"
        audio = line(self.audio, MAX_TEXT)
        yield f"   {self.licence or 'no licence stated'}, {self.author or 'unknown'}, {audio}"


class Moment(BaseModel):
    """A part of a long sound where it matches."""

    start: float
    end: float


class Hit(Sound):
    """A sound that was found."""

    probability: float | None = Field(description="Of being right; null where that is not known")
    confidence: str | None = Field(description="sure, maybe, unlikely, or null")
    moments: list[Moment] = Field(description="Where in a long sound, best first")

    @classmethod
    def of_hit(cls, hit: HitBody, address: str) -> Hit:
        """From the service's answer, and the sound's address."""
        known = hit.probability is not None
        return cls.model_validate(
            {
                **cls.fields_of(hit, address),
                "probability": round(hit.probability, 3) if hit.probability is not None else None,
                "confidence": hit.confidence if known else None,
                "moments": [
                    {"start": round(moment.start, 2), "end": round(moment.end, 2)}
                    for moment in hit.moments[:MAX_MOMENTS]
                ],
            }
        )

    def lines(self) -> Iterable[str]:
        """Two lines, and a third where it says more."""
        yield from super().lines()
        more = [self.confidence] if self.confidence else []
        more += [f"{each.start:g} to {each.end:g} s" for each in self.moments]
        if more:
            yield f"   {', '.join(more)}"


class Hits(Answer):
    """Sounds that were found, best first."""

    hits: list[Hit]
    next: str | None = Field(description="`cursor` of what follows; null: nothing")
    not_used: list[str] = Field([], description="Words that could not be used")

    def lines(self) -> Iterable[str]:
        """The hits, numbered."""
        yield from _numbered(self.hits, "nothing found")
        yield from _more(self.next)
        if self.not_used:
            yield f"not used: {', '.join(self.not_used)}"


class ClipDetails(Sound):
    """A clip of the library."""

    description: str
    recorded: str
    added_at: str
    sample_rate: int = Field(description="Hz")
    channels: int
    loudness: float | None = Field(description="LUFS")

    @classmethod
    def of(cls, clip: ClipBody, address: str) -> ClipDetails:
        """From the service's answer, and the sound's address."""
        more = {"description": line(clip.description, MAX_TEXT)}
        names = ("recorded", "added_at", "sample_rate", "channels", "loudness")
        own = {name: getattr(clip, name) for name in names}
        return cls.model_validate({**cls.fields_of(clip, address), **more, **own})

    def lines(self) -> Iterable[str]:
        """The sound, then what is known of it."""
        yield from super().lines()
        yield f"   {self.sample_rate} Hz, channels: {self.channels}, added {self.added_at}"
        if self.description:
            yield f"   {self.description}"


class TagOfSound(BaseModel):
    """A tag and its probability; `suggested`: whether that is enough to suggest it."""

    tag: str
    probability: float
    suggested: bool


class SuggestedTags(Answer):
    """Tags for a sound, the most telling first."""

    tags: list[TagOfSound]

    @classmethod
    def of(cls, body: TagsBody) -> SuggestedTags:
        """From the service's answer: what people have taught comes first, where it is heard."""
        taught = [
            TagOfSound(tag=line(each.tag), probability=round(each.probability, 3), suggested=True)
            for each in body.taught
            if each.suggested
        ]
        known = {each.tag for each in taught}
        return cls(
            tags=taught
            + [
                TagOfSound(
                    tag=line(each.tag), probability=round(each.score, 3), suggested=each.suggested
                )
                for each in body.tags
                if each.tag not in known
            ]
        )

    def lines(self) -> Iterable[str]:
        """A line for each."""
        for each in self.tags:
            yield f"{each.probability:.1%} {each.tag}{'' if each.suggested else ' (unlikely)'}"


class LabelOfSound(BaseModel):
    """A label and its probability."""

    label: str
    probability: float


class Classes(Answer):
    """Labels, the most probable first."""

    classes: list[LabelOfSound]
    not_used: list[str] = Field(description="Words that the model does not know")

    @classmethod
    def of(cls, body: ClassesBody) -> Classes:
        """From the service's answer."""
        return cls(
            classes=[
                LabelOfSound(label=line(each.label), probability=round(each.probability, 3))
                for each in body.classes
            ],
            not_used=[line(word) for word in body.ignored],
        )

    def lines(self) -> Iterable[str]:
        """A line for each."""
        yield from (f"{each.probability:.1%} {each.label}" for each in self.classes)
        if self.not_used:
            yield f"not used: {', '.join(self.not_used)}"


class TagCount(BaseModel):
    """A tag, and how many sounds have it."""

    tag: str
    count: int


class TagList(Answer):
    """The library's tags, the most frequent first."""

    tags: list[TagCount]
    different: int = Field(description="Tags in all")
    clips: int = Field(description="Sounds in the library")

    @classmethod
    def of(cls, body: LibraryBody) -> TagList:
        """From the service's answer."""
        return cls(
            tags=[TagCount(tag=line(each.tag), count=each.count) for each in body.tags],
            different=body.different.tags,
            clips=body.clips,
        )

    def lines(self) -> Iterable[str]:
        """Two lines."""
        yield f"{self.clips} sounds, {self.different} tags; the most frequent:"
        yield ", ".join(f"{each.tag} {each.count}" for each in self.tags)


class CollectionFacts(Answer):
    """A collection."""

    id: str
    name: str
    description: str
    clips: int | None = Field(description="Null where a search decides, until it is asked for")

    @classmethod
    def of(cls, body: CollectionBody) -> CollectionFacts:
        """From the service's answer."""
        return cls(
            id=body.id,
            name=line(body.name, MAX_TITLE),
            description=line(body.description, MAX_TITLE),
            clips=body.clips,
        )

    def lines(self) -> Iterable[str]:
        """One line."""
        clips = "what a search finds" if self.clips is None else f"{self.clips} clips"
        yield f"{self.name} [{self.id}], {clips}"


class CollectionList(Answer):
    """The library's collections."""

    collections: list[CollectionFacts] = Field(description=f"At most {MAX_COLLECTIONS}")
    total: int

    @classmethod
    def of(cls, bodies: Sequence[CollectionBody]) -> CollectionList:
        """From the service's answer."""
        listed = [CollectionFacts.of(body) for body in bodies[:MAX_COLLECTIONS]]
        return cls(collections=listed, total=len(bodies))

    def lines(self) -> Iterable[str]:
        """A line for each."""
        yield from _numbered(self.collections, "no collections")


class CollectionClips(Answer):
    """A collection, and a part of its clips."""

    collection: CollectionFacts
    clips: list[Sound]
    next: str | None = Field(description="`cursor` of what follows; null: nothing")

    def lines(self) -> Iterable[str]:
        """The collection, then its clips."""
        yield from self.collection.lines()
        yield from _numbered(self.clips, "no clips")
        yield from _more(self.next)


class Edited(Answer):
    """What an edit did."""

    changed: int = Field(description="Clips that changed")
    unchanged: int = Field(description="Clips that were so already")
    edit: int | None = Field(description="Number of the edit, to undo it; null: nothing changed")

    @classmethod
    def of(cls, body: EditBody) -> Edited:
        """From the service's answer."""
        return cls(changed=body.changed, unchanged=body.unchanged, edit=body.number)

    def lines(self) -> Iterable[str]:
        """One line."""
        number = "" if self.edit is None else f" (edit {self.edit}, which can be undone)"
        yield f"{self.changed} changed, {self.unchanged} were so already{number}"


def _more(cursor: str | None) -> Iterable[str]:
    if cursor:
        yield f"more: cursor {cursor}"


def _numbered(items: Sequence[Answer], nothing: str) -> Iterable[str]:
    """The lines of each, with its number before the first."""
    for number, item in enumerate(items, 1):
        first, *others = item.lines()
        yield f"{number}. {first}"
        yield from others
    if not items:
        yield nothing
