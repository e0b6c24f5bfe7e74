"""The requests of the methods of both clients, and how their answers are read.

Each function makes a `Call`: one request and the type of its answer. None does any input or output
but for reading sounds. A sound is given as bytes, or as the path of a file. `where`: the conditions
of `Where`; `progress`: a callback that gets the seconds of the sound that the service has read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote

from pydantic import BaseModel

from earmark.service.schemas.about import ModelBody
from earmark.service.schemas.clip_edits import AddedBody, ClipsBody, WaveformBody
from earmark.service.schemas.clips import ClipBody
from earmark.service.schemas.curation.classifiers import (
    AskedBody,
    ClassifierBody,
    ClassifiersBody,
    ExportedClassifier,
    LabelsBody,
)
from earmark.service.schemas.curation.edits import EditBody, EditsBody, HistoryBody, UndoBody
from earmark.service.schemas.curation.facets import FacetsBody
from earmark.service.schemas.curation.review import (
    JudgedBody,
    SuggestingBody,
    SuggestionsBody,
    TagReviewsBody,
)
from earmark.service.schemas.feedback import FeedbackBody, FeedbackListBody
from earmark.service.schemas.hits import PageBody, SearchBody
from earmark.service.schemas.jobs import JobBody
from earmark.service.schemas.library import LibraryBody
from earmark.service.schemas.limits import ClipSort, Sort
from earmark.service.schemas.map import MapBody
from earmark.service.schemas.tagging import ClassesBody, TagsBody
from earmark.service.schemas.timeline import TimelineBody

Body = TypeVar("Body")
Sound = bytes | Path
Progress = Callable[[float], None]
Part = tuple[str, tuple[str, bytes]]

EVENTS = "text/event-stream"


class Where(TypedDict, total=False):
    """Filters: a clip must pass all that are given. Durations in seconds, sample rates in Hz,
    loudness in LUFS; dates as "2026", "2026-11" or "2026-11-30"; collections by their ids."""

    tag: Sequence[str]
    any_tag: Sequence[str]
    no_tag: Sequence[str]
    min_duration: float
    max_duration: float
    licence: Sequence[str]
    source: Sequence[str]
    category: Sequence[str]
    sample_rate: Sequence[int]
    channels: Sequence[int]
    min_loudness: float
    max_loudness: float
    added_after: str
    added_before: str
    collection: Sequence[str]
    classifier: Sequence[str]


class Chosen(Where, total=False):
    """Words, as of a search, and filters: the clips that a bulk edit changes."""

    q: str
    min_probability: float


class HitsWhere(Where, total=False):
    """How many moments a hit has at most, and filters."""

    moments: int


class TypingAndWhere(HitsWhere, total=False):
    """Whether the last word may be half typed, as the words are being typed, and filters."""

    typing: bool


class StretchAndWhere(HitsWhere, total=False):
    """The stretch of a sound that is asked with, in seconds, and filters."""

    start: float
    end: float


class SharedMetadata(TypedDict, total=False):
    """Metadata of many sounds at once."""

    tags: Sequence[str]
    author: str
    source: str
    licence: str


class ClipMetadata(SharedMetadata, total=False):
    """Metadata of one sound."""

    title: str
    description: str
    recorded: str


@dataclass(frozen=True)
class Call(Generic[Body]):
    """A request, and the type of its answer: a pydantic model, `bytes` for a sound, or None.

    `safe`: it may be sent twice.
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
        """The arguments of httpx's request."""
        options = {
            "params": {
                name: value for name, value in self.query.items() if value not in (None, "")
            },
            "headers": {**self.headers, **({"Accept": EVENTS} if self.progress else {})},
            "data": self.data,
            "files": list(self.files) or None,
            "json": self.body,
        }
        return {name: value for name, value in options.items() if value}

    def read(self, content: bytes) -> Body:
        """The answer in a body. Raises pydantic.ValidationError where another version made it."""
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
    min_probability: float = 0.0,
    **where: Unpack[TypingAndWhere],
) -> Call[SearchBody]:
    """Search by words. `tags`: with weights; a weight below 0 excludes the tag.
    `min_probability`: of a hit. `moments`: of a hit, at most. `typing`: only without `tags`."""
    is_typed = where.pop("typing", False)
    query = {"q": words, "k": k, "cursor": cursor, "sort": sort, **_least(min_probability), **where}
    if not tags:
        flags = {"distinct": _flag(distinct), "typing": _flag(is_typed)}
        return Call("GET", "/v1/search", SearchBody, {**query, **flags})
    weighted = [{"tag": tag, "weight": weight} for tag, weight in tags.items()]
    body = {**query, "tags": weighted, "distinct": distinct}
    return Call("POST", "/v1/search", SearchBody, body=body)


def search_audio(
    sound: Sound,
    *,
    k: int = 10,
    cursor: str = "",
    distinct: bool = False,
    min_probability: float = 0.0,
    progress: Progress | None = None,
    **where: Unpack[StretchAndWhere],
) -> Call[PageBody]:
    """Search by a sound, or by a stretch of it: the clips most like it. `min_probability`: of a
    hit; `moments`: of a hit, at most."""
    times: dict[str, Any] = {name: where[name] for name in ("start", "end") if name in where}
    query = {"k": k, "cursor": cursor, "distinct": _flag(distinct), **where}
    query |= {**_least(min_probability), "start": None, "end": None}
    files = [_part(sound)]
    return Call(
        "POST", "/v1/search/audio", PageBody, query, data=times, files=files, progress=progress
    )


def similar(
    clip_id: str,
    *,
    k: int = 10,
    cursor: str = "",
    distinct: bool = False,
    min_probability: float = 0.0,
    **where: Unpack[StretchAndWhere],
) -> Call[PageBody]:
    """The clips most like a clip of the library, or like a stretch of it. `min_probability`: of a
    hit; `moments`: of a hit, at most."""
    query = {"k": k, "cursor": cursor, "distinct": _flag(distinct), **where}
    query |= _least(min_probability)
    return Call("GET", _clip(clip_id, "/similar"), PageBody, query)


def tags(
    sound: Sound, *, k: int = 10, known: Sequence[str] = (), progress: Progress | None = None
) -> Call[TagsBody]:
    """Suggest tags for a sound. `known`: tags that it has already."""
    data, files = {"tags": list(known)}, [_part(sound)]
    return Call("POST", "/v1/tags", TagsBody, {"k": k}, data=data, files=files, progress=progress)


def classify(
    sound: Sound,
    labels: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    multiple: bool = False,
    progress: Progress | None = None,
) -> Call[ClassesBody]:
    """Probabilities of labels, each of which may have words of its own. `multiple`: several may
    be true."""
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
    sort: ClipSort = "newest",
    **where: Unpack[Where],
) -> Call[ClipsBody]:
    """A page of the library's clips."""
    return Call("GET", "/v1/clips", ClipsBody, {"k": k, "cursor": cursor, "sort": sort, **where})


def clip(clip_id: str) -> Call[ClipBody]:
    """A clip of the library."""
    return Call("GET", _clip(clip_id), ClipBody)


def upload(sound: Sound, *, name: str = "", **metadata: Unpack[ClipMetadata]) -> Call[AddedBody]:
    """Add a sound to the library. `name`: of its file, the title where none is given."""
    files = [_part(sound, name)]
    return Call("POST", "/v1/clips", AddedBody, data=metadata, files=files, safe=False)


def edit(clip_id: str, **metadata: Unpack[ClipMetadata]) -> Call[ClipBody]:
    """Update a clip's metadata: the fields that are given are replaced."""
    return Call("PATCH", _clip(clip_id), ClipBody, body=metadata)


def edit_many(
    ids: Sequence[str] | None = None,
    *,
    where: Chosen | None = None,
    add_tags: Sequence[str] = (),
    remove_tags: Sequence[str] = (),
    **metadata: Unpack[ClipMetadata],
) -> Call[EditBody]:
    """Update many clips at once, all or none: those with these ids, or all that pass `where`. The
    fields that are given are replaced, then tags removed and added."""
    chosen = {"ids": ids, "where": where}
    body: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    body |= {"set": metadata, "add_tags": list(add_tags), "remove_tags": list(remove_tags)}
    return Call("PATCH", "/v1/clips", EditBody, body=body, safe=False)


def edits(*, k: int = 20, cursor: str = "") -> Call[EditsBody]:
    """What changed clips' metadata, the newest first, after a page's `next`."""
    return Call("GET", "/v1/edits", EditsBody, {"k": k, "cursor": cursor})


def history(clip_id: str, *, k: int = 20, cursor: str = "") -> Call[HistoryBody]:
    """The changes of a clip's metadata, the newest first, after a page's `next`."""
    return Call("GET", _clip(clip_id, "/history"), HistoryBody, {"k": k, "cursor": cursor})


def undo(number: int) -> Call[UndoBody]:
    """Undo an edit, but for the clips whose same fields have changed since."""
    return Call("POST", f"/v1/edits/{number}/undo", UndoBody, safe=False)


def delete(clip_id: str) -> Call[None]:
    """Remove a clip from the library."""
    return Call("DELETE", _clip(clip_id), None, safe=False)


def audio(
    clip_id: str,
    *,
    start: float | None = None,
    end: float | None = None,
    format: Literal["wav", "flac"] | None = None,
) -> Call[bytes]:
    """A clip's sound: the bytes of its file; or the stretch from `start` to `end`, in seconds, as a
    file of its own, WAV unless `format` says otherwise."""
    query = {"start": start, "end": end, "format": format}
    return Call("GET", _clip(clip_id, "/audio"), bytes, query)


def waveform(
    clip_id: str, *, points: int = 400, start: float | None = None, end: float | None = None
) -> Call[WaveformBody]:
    """The waveform of a clip, or of its stretch from `start` to `end`, in `points` pairs of minimum
    and maximum."""
    query = {"points": points, "start": start, "end": end}
    return Call("GET", _clip(clip_id, "/waveform"), WaveformBody, query)


def spectrogram(
    clip_id: str,
    *,
    width: int = 800,
    height: int = 160,
    start: float | None = None,
    end: float | None = None,
) -> Call[bytes]:
    """The spectrogram of a clip, or of its stretch from `start` to `end` in seconds, as a PNG."""
    query = {"width": width, "height": height, "start": start, "end": end}
    return Call("GET", _clip(clip_id, "/spectrogram"), bytes, query)


def timeline(clip_id: str, *, tags: Sequence[str] = ()) -> Call[TimelineBody]:
    """Which tags are heard in a clip, and when. `tags`: in any words; none: suggested ones."""
    return Call("GET", _clip(clip_id, "/timeline"), TimelineBody, {"tags": list(tags)})


def label_file(
    clip_id: str, format: Literal["csv", "audacity", "raven"], *, tags: Sequence[str] = ()
) -> Call[bytes]:
    """A clip's timeline as a file that other programs open."""
    query = {"tags": list(tags), "format": format}
    return Call("GET", _clip(clip_id, "/timeline"), bytes, query)


def clip_tags(clip_id: str, *, k: int = 10) -> Call[TagsBody]:
    """Suggest tags for a clip of the library."""
    return Call("GET", _clip(clip_id, "/tags"), TagsBody, {"k": k})


def classify_clip(
    clip_id: str, labels: Sequence[str], *, multiple: bool = False
) -> Call[ClassesBody]:
    """Probabilities of labels for a clip of the library. `multiple`: several may be true."""
    query = {"labels": list(labels), "multiple": _flag(multiple)}
    return Call("GET", _clip(clip_id, "/classify"), ClassesBody, query)


def feedback(
    of: str | Sound, *, accepted: Sequence[str] = (), rejected: Sequence[str] = ()
) -> Call[FeedbackBody]:
    """Give feedback on the tags of a clip (by its id) or of a sound, which the library keeps."""
    tags: dict[str, Any] = {"accepted": list(accepted), "rejected": list(rejected)}
    if isinstance(of, str):
        body = {"clip": of, **tags}
        return Call("POST", "/v1/feedback", FeedbackBody, body=body, safe=False)
    return Call("POST", "/v1/feedback", FeedbackBody, data=tags, files=[_part(of)], safe=False)


def feedback_given(*, k: int = 100, before: int | None = None) -> Call[FeedbackListBody]:
    """The feedback so far, the newest first."""
    return Call("GET", "/v1/feedback", FeedbackListBody, {"k": k, "before": before})


def classifiers() -> Call[ClassifiersBody]:
    """All sounds that people teach."""
    return Call("GET", "/v1/classifiers", ClassifiersBody)


def classifier(classifier_id: str) -> Call[ClassifierBody]:
    """One of them."""
    return Call("GET", _classifier(classifier_id), ClassifierBody)


def create_classifier(name: str, *, tag: str | None = None) -> Call[ClassifierBody]:
    """Begin to teach a sound. `tag`: what it suggests; None: its name."""
    body = {"name": name, "tag": tag}
    return Call("POST", "/v1/classifiers", ClassifierBody, body=body, safe=False)


def edit_classifier(
    classifier_id: str, *, name: str | None = None, tag: str | None = None
) -> Call[ClassifierBody]:
    """Set what is given of a taught sound."""
    return Call(
        "PATCH", _classifier(classifier_id), ClassifierBody, body={"name": name, "tag": tag}
    )


def delete_classifier(classifier_id: str) -> Call[None]:
    """Delete a taught sound, with its labels."""
    return Call("DELETE", _classifier(classifier_id), None)


def teach(classifier_id: str, labels: Sequence[Mapping[str, Any]]) -> Call[ClassifierBody]:
    """Say of clips whether they are the sound: `{"clip": id, "is": True}`, with `start` and `end`
    (seconds) of a moment. `"is": None` takes back what was said."""
    body = {"labels": [dict(label) for label in labels]}
    return Call("POST", f"{_classifier(classifier_id)}/labels", ClassifierBody, body=body)


def taught_labels(classifier_id: str) -> Call[LabelsBody]:
    """What was said of which clips."""
    return Call("GET", f"{_classifier(classifier_id)}/labels", LabelsBody)


def ask_for_labels(classifier_id: str, *, k: int = 5) -> Call[AskedBody]:
    """Clips to label next."""
    return Call("GET", f"{_classifier(classifier_id)}/ask", AskedBody, {"k": k})


def classifier_hits(
    classifier_id: str,
    *,
    k: int = 10,
    cursor: str = "",
    distinct: bool = False,
    min_probability: float = 0.0,
    **where: Unpack[HitsWhere],
) -> Call[PageBody]:
    """The library ranked by a taught sound."""
    query = {
        "k": k,
        "cursor": cursor,
        "distinct": _flag(distinct),
        **_least(min_probability),
        **where,
    }
    return Call("GET", f"{_classifier(classifier_id)}/hits", PageBody, query)


def export_classifier(classifier_id: str) -> Call[ExportedClassifier]:
    """A taught sound for another library of the same model."""
    return Call("GET", f"{_classifier(classifier_id)}/export", ExportedClassifier)


def import_classifier(exported: ExportedClassifier, *, name: str = "") -> Call[ClassifierBody]:
    """Take in what another library has exported. `name`: instead of its own."""
    path = "/v1/classifiers/import"
    return Call(
        "POST", path, ClassifierBody, {"name": name}, body=exported.model_dump(), safe=False
    )


def _classifier(classifier_id: str) -> str:
    return f"/v1/classifiers/{in_path(classifier_id)}"


def suggest_all() -> Call[SuggestingBody]:
    """Let suggested tags be computed for every sound, from now on also for what changes."""
    return Call("POST", "/v1/suggestions", SuggestingBody)


def stop_suggesting() -> Call[SuggestingBody]:
    """Stop computing suggestions; those that are there stay."""
    return Call("DELETE", "/v1/suggestions", SuggestingBody)


def suggesting() -> Call[SuggestingBody]:
    """How far suggestions are computed."""
    return Call("GET", "/v1/suggestions/progress", SuggestingBody)


def suggested_tags() -> Call[TagReviewsBody]:
    """The tags that wait for review or have a verdict, most waiting first."""
    return Call("GET", "/v1/suggestions/tags", TagReviewsBody)


def suggestions(
    suggested: str = "",
    *,
    order: Literal["surest", "unsurest"] = "surest",
    k: int = 20,
    cursor: str = "",
    reviewer: str = "",
    **where: Unpack[Where],
) -> Call[SuggestionsBody]:
    """Sounds for which a tag waits for a verdict; or, without one, sound by sound with all tags."""
    query = {"suggested": suggested, "order": order, "k": k, "cursor": cursor, **where}
    return Call("GET", "/v1/suggestions", SuggestionsBody, {**query, "reviewer": reviewer})


def lease_suggestions(
    reviewer: str,
    suggested: str = "",
    *,
    order: Literal["surest", "unsurest"] = "surest",
    k: int = 20,
    cursor: str = "",
    **where: Unpack[Where],
) -> Call[SuggestionsBody]:
    """The same, for this reviewer alone for some minutes, in place of what it has leased before."""
    body = {"suggested": suggested, "order": order, "k": k, "cursor": cursor, **where}
    body["reviewer"] = reviewer
    return Call("POST", "/v1/suggestions/leases", SuggestionsBody, body=body)


def judge(
    verdicts: Sequence[tuple[str, str, Literal["accept", "reject", "undecided"]]],
    *,
    reviewer: str = "",
) -> Call[JudgedBody]:
    """Give verdicts (id of a clip, tag, verdict) on suggestions, all of them or none."""
    listed = [dict(zip(("clip", "tag", "verdict"), one, strict=True)) for one in verdicts]
    body = {"verdicts": listed, "reviewer": reviewer}
    return Call("POST", "/v1/suggestions/verdicts", JudgedBody, body=body)


def submit(sounds: Sequence[Sound], **metadata: Unpack[SharedMetadata]) -> Call[JobBody]:
    """Begin a job: add many sounds in the background."""
    files = [_part(sound) for sound in sounds]
    return Call("POST", "/v1/jobs", JobBody, data=metadata, files=files, safe=False)


def job(job_id: str) -> Call[JobBody]:
    """A job's state."""
    return Call("GET", _job(job_id), JobBody)


def job_events(job_id: str, after: int) -> Call[bytes]:
    """A job's events after number `after`, as they happen."""
    headers = {"Accept": EVENTS, "Last-Event-ID": str(after)}
    return Call("GET", f"{_job(job_id)}/events", bytes, headers=headers)


def cancel(job_id: str) -> Call[JobBody]:
    """Stop a job and forget it; the clips that it has added stay."""
    return Call("DELETE", _job(job_id), JobBody, safe=False)


def facets(
    words: str = "", *, names: int = 20, min_probability: float = 0.0, **where: Unpack[Where]
) -> Call[FacetsBody]:
    """How many of the clips that a search finds, or without words of all that pass the filters,
    have each tag, licence, source, length and so on. `names`: listed of each, at most."""
    query = {"q": words, "names": names, **_least(min_probability), **where}
    return Call("GET", "/v1/facets", FacetsBody, query)


def library(*, tags: int = 200) -> Call[LibraryBody]:
    """Statistics of the library, with its `tags` most frequent tags."""
    return Call("GET", "/v1/library", LibraryBody, {"tags": tags})


def picture(**where: Unpack[Where]) -> Call[MapBody]:
    """The library as a map in two dimensions; with filters, the clips that pass."""
    return Call("GET", "/v1/map", MapBody, where)


def model() -> Call[ModelBody]:
    """Facts about the model."""
    return Call("GET", "/v1/model", ModelBody)


def _part(sound: Sound, name: str = "") -> Part:
    if isinstance(sound, bytes):
        return "file", (name or "sound", sound)
    return "file", (name or sound.name, sound.read_bytes())


def in_path(name: str) -> str:
    """An id as one part of a path. httpx takes `.` and `..` for steps in it, but not `%2E`."""
    return quote(name, safe="") if name.strip(".") else name.replace(".", "%2E")


def _clip(clip_id: str, part: str = "") -> str:
    return f"/v1/clips/{in_path(clip_id)}{part}"


def _job(job_id: str) -> str:
    return f"/v1/jobs/{in_path(job_id)}"


def _flag(value: bool) -> str | None:
    return "true" if value else None


def _least(min_probability: float) -> dict[str, float]:
    """The parameter, where it says anything: services of before do not know it."""
    return {"min_probability": min_probability} if min_probability else {}
