"""What each call sends and how its answer is read: the methods of both clients, free of any input
or output but reading the sounds.

Each function makes a `Call`: one request and the kind of its answer. Sounds are given as bytes, or
as the path of a file. `where`: the conditions of `Where`; `progress`: is called with the seconds of
the sound heard so far, as the service hears them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from pydantic import BaseModel

from earmark.service.schemas.about import ModelBody
from earmark.service.schemas.clip_edits import AddedBody, ClipsBody, WaveformBody
from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.feedback import FeedbackBody, FeedbackListBody
from earmark.service.schemas.hits import PageBody, SearchBody
from earmark.service.schemas.jobs import JobBody
from earmark.service.schemas.library import LibraryBody
from earmark.service.schemas.map import MapBody
from earmark.service.schemas.tagging import ClassesBody, TagsBody

if TYPE_CHECKING:
    from earmark.index.search.ranking import Sort

Body = TypeVar("Body")
Sound = bytes | Path
Progress = Callable[[float], None]
Part = tuple[str, tuple[str, bytes]]

EVENTS = "text/event-stream"


class Where(TypedDict, total=False):
    """Which clips may be found: all conditions given must hold. Durations in seconds."""

    tag: Sequence[str]
    any_tag: Sequence[str]
    no_tag: Sequence[str]
    min_duration: float
    max_duration: float
    licence: Sequence[str]
    source: Sequence[str]


class Origin(TypedDict, total=False):
    """What is said of many sounds at once."""

    tags: Sequence[str]
    author: str
    source: str
    licence: str


class Said(Origin, total=False):
    """What is said of a clip."""

    title: str
    description: str


@dataclass(frozen=True)
class Call(Generic[Body]):
    """A request, and the model of its answer: `bytes` for a sound, None for nothing.

    `safe`: it may be sent again though it may have been done already.
    """

    method: str
    path: str
    answer: type[Body] | None
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    files: Sequence[Part] = ()
    body: Any = None
    safe: bool = True
    progress: Progress | None = None

    def options(self) -> dict[str, Any]:
        """As httpx takes them."""
        given = {
            "params": {
                name: value for name, value in self.query.items() if value not in (None, "")
            },
            "headers": {**self.headers, **({"Accept": EVENTS} if self.progress else {})},
            "data": self.data,
            "files": list(self.files) or None,
            "json": self.body,
        }
        return {name: value for name, value in given.items() if value}

    def read(self, content: bytes) -> Body:
        """The answer in this body. Raises pydantic.ValidationError for one of another version."""
        if self.answer is None:
            return None  # type: ignore[return-value]  # Body is None then
        if issubclass(self.answer, BaseModel):
            return self.answer.model_validate_json(content)
        return self.answer(content)  # type: ignore[call-arg]  # bytes


def search(
    words: str,
    *,
    tags: Mapping[str, float] | None = None,
    k: int = 10,
    cursor: str = "",
    sort: Sort = "relevance",
    distinct: bool = False,
    **where: Unpack[Where],
) -> Call[SearchBody]:
    """Sounds for words; `tags`: with weights, below 0 for none of it."""
    asked = {"q": words, "k": k, "cursor": cursor, "sort": sort, **where}
    if not tags:
        return Call("GET", "/v1/search", SearchBody, {**asked, "distinct": _flag(distinct)})
    weighted = [{"tag": tag, "weight": weight} for tag, weight in tags.items()]
    body = {**asked, "tags": weighted, "distinct": distinct}
    return Call("POST", "/v1/search", SearchBody, body=body)


def search_audio(
    sound: Sound,
    *,
    k: int = 10,
    cursor: str = "",
    distinct: bool = False,
    progress: Progress | None = None,
    **where: Unpack[Where],
) -> Call[PageBody]:
    """Sounds of the library like one that is sent."""
    query = {"k": k, "cursor": cursor, "distinct": _flag(distinct), **where}
    files = [_part(sound)]
    return Call("POST", "/v1/search/audio", PageBody, query, files=files, progress=progress)


def similar(
    clip_id: str,
    *,
    k: int = 10,
    cursor: str = "",
    distinct: bool = False,
    **where: Unpack[Where],
) -> Call[PageBody]:
    """Sounds of the library like one of it."""
    query = {"k": k, "cursor": cursor, "distinct": _flag(distinct), **where}
    return Call("GET", _clip(clip_id, "/similar"), PageBody, query)


def tags(
    sound: Sound, *, k: int = 10, known: Sequence[str] = (), progress: Progress | None = None
) -> Call[TagsBody]:
    """Tags for a sound, beside those that are known."""
    data, files = {"tags": list(known)}, [_part(sound)]
    return Call("POST", "/v1/tags", TagsBody, {"k": k}, data=data, files=files, progress=progress)


def classify(
    sound: Sound,
    labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    multiple: bool = False,
    progress: Progress | None = None,
) -> Call[ClassesBody]:
    """How probable labels are; each may have words of its own. `multiple`: several can be true."""
    data: dict[str, Any] = {"multiple": "true" if multiple else "false"}
    if isinstance(labels, Mapping):
        data["prompts"] = json.dumps({label: list(words) for label, words in labels.items()})
    else:
        data["labels"] = list(labels)
    files = [_part(sound)]
    return Call("POST", "/v1/classify", ClassesBody, data=data, files=files, progress=progress)


def clips_page(
    *,
    k: int = 100,
    cursor: str = "",
    sort: Literal["newest", "id"] = "newest",
    **where: Unpack[Where],
) -> Call[ClipsBody]:
    """A page of the library."""
    return Call("GET", "/v1/clips", ClipsBody, {"k": k, "cursor": cursor, "sort": sort, **where})


def clip(clip_id: str) -> Call[ClipBody]:
    """A clip of the library."""
    return Call("GET", _clip(clip_id), ClipBody)


def upload(sound: Sound, *, name: str = "", **said: Unpack[Said]) -> Call[AddedBody]:
    """Add a sound to the library. `name`: of its file, which becomes its title if it has none."""
    files = [_part(sound, name)]
    return Call("POST", "/v1/clips", AddedBody, data=said, files=files, safe=False)


def edit(clip_id: str, **said: Unpack[Said]) -> Call[ClipBody]:
    """Change what is said of a clip: fields given are replaced, the others stay."""
    return Call("PATCH", _clip(clip_id), ClipBody, body=said)


def delete(clip_id: str) -> Call[None]:
    """Remove a clip from the library."""
    return Call("DELETE", _clip(clip_id), None, safe=False)


def audio(clip_id: str) -> Call[bytes]:
    """A clip's sound, as its file has it."""
    return Call("GET", _clip(clip_id, "/audio"), bytes)


def waveform(clip_id: str, *, points: int = 400) -> Call[WaveformBody]:
    """A clip's outline."""
    return Call("GET", _clip(clip_id, "/waveform"), WaveformBody, {"points": points})


def feedback(
    of: str | Sound, *, accepted: Sequence[str] = (), rejected: Sequence[str] = ()
) -> Call[FeedbackBody]:
    """Tell which tags are right, of a clip (by its id) or of a sound, which is then kept."""
    said: dict[str, Any] = {"accepted": list(accepted), "rejected": list(rejected)}
    if isinstance(of, str):
        body = {"clip": of, **said}
        return Call("POST", "/v1/feedback", FeedbackBody, body=body, safe=False)
    return Call("POST", "/v1/feedback", FeedbackBody, data=said, files=[_part(of)], safe=False)


def feedback_given(*, k: int = 100, before: int | None = None) -> Call[FeedbackListBody]:
    """What was told so far, the newest first."""
    return Call("GET", "/v1/feedback", FeedbackListBody, {"k": k, "before": before})


def submit(sounds: Sequence[Sound], **said: Unpack[Origin]) -> Call[JobBody]:
    """Add many sounds in the background: a job."""
    files = [_part(sound) for sound in sounds]
    return Call("POST", "/v1/jobs", JobBody, data=said, files=files, safe=False)


def job(job_id: str) -> Call[JobBody]:
    """How a job stands."""
    return Call("GET", _job(job_id), JobBody)


def job_events(job_id: str, after: int) -> Call[bytes]:
    """A job's events after that number, as they happen."""
    headers = {"Accept": EVENTS, "Last-Event-ID": str(after)}
    return Call("GET", f"{_job(job_id)}/events", bytes, headers=headers)


def cancel(job_id: str) -> Call[JobBody]:
    """Stop a job and forget it; what it has added stays."""
    return Call("DELETE", _job(job_id), JobBody, safe=False)


def library(*, tags: int = 200) -> Call[LibraryBody]:
    """What the library holds, in figures; at most so many tags."""
    return Call("GET", "/v1/library", LibraryBody, {"tags": tags})


def picture() -> Call[MapBody]:
    """The library as a picture in two dimensions."""
    return Call("GET", "/v1/map", MapBody)


def model() -> Call[ModelBody]:
    """What is known of the model."""
    return Call("GET", "/v1/model", ModelBody)


def _part(sound: Sound, name: str = "") -> Part:
    if isinstance(sound, bytes):
        return "file", (name or "sound", sound)
    return "file", (name or sound.name, sound.read_bytes())


def _clip(clip_id: str, part: str = "") -> str:
    return f"/v1/clips/{quote(clip_id, safe='')}{part}"


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _flag(value: bool) -> str | None:
    return "true" if value else None
