"""Every call of HTTP v1 as clients know it: a name that stays, and what can go wrong with it.

What holds for many calls (keys, rates, bodies) is not said here: `service.openapi.document` adds
it.
"""

from __future__ import annotations

from dataclasses import dataclass

TAGS = {
    "search": "Words → sounds, and sounds like one of the library.",
    "sounds": "An uploaded sound → tags, the probabilities of one's own labels, or sounds like it.",
    "clips": "The library's clips, their sound and its outline; each change is searched at once.",
    "library": "The library as a whole: what it holds, in figures and as a picture.",
    "jobs": "Many sounds at once: added in the background, with their progress as it happens.",
    "feedback": "Which suggested tags are right; kept, listed, and as a manifest to train on.",
    "about": "The service about itself: the model, probes, figures, kinds of problems.",
}

SEARCHING = ("invalid-request", "busy", "deadline")
HEARING = ("invalid-request", "not-a-sound", "busy", "deadline")


@dataclass(frozen=True)
class Call:
    """A call: its operation id; the types of problems that are its own; headers that its good
    answers always have. `cached`: it takes If-None-Match."""

    id: str
    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    cached: bool = False


CALLS = {
    "GET /v1/search": Call("search", SEARCHING, ("ETag", "Cache-Control"), cached=True),
    "POST /v1/search": Call("search_with", SEARCHING),
    "POST /v1/search/audio": Call("search_audio", HEARING),
    "GET /v1/clips/{clip_id}/similar": Call("similar", ("unknown-clip", "invalid-request")),
    "POST /v1/tags": Call("tags", HEARING),
    "POST /v1/classify": Call("classify", HEARING),
    "GET /v1/clips": Call("list_clips", ("invalid-request",)),
    "POST /v1/clips": Call("add_clip", HEARING, ("Location", "ETag")),
    "GET /v1/clips/{clip_id}": Call(
        "get_clip", ("unknown-clip",), ("ETag", "Cache-Control"), cached=True
    ),
    "PATCH /v1/clips/{clip_id}": Call(
        "edit_clip",
        ("unknown-clip", "precondition-failed", "invalid-request", "method-not-allowed"),
        ("ETag",),
    ),
    "DELETE /v1/clips/{clip_id}": Call(
        "remove_clip", ("unknown-clip", "precondition-failed", "method-not-allowed")
    ),
    "GET /v1/clips/{clip_id}/audio": Call(
        "clip_audio",
        ("unknown-clip", "sound-gone", "range-not-satisfiable", "bad-request"),
        ("ETag", "Cache-Control", "Accept-Ranges"),
        cached=True,
    ),
    "GET /v1/clips/{clip_id}/waveform": Call(
        "clip_waveform",
        ("unknown-clip", "sound-gone", "not-a-sound", "invalid-request", "busy", "deadline"),
        ("ETag", "Cache-Control"),
        cached=True,
    ),
    "GET /v1/library": Call(
        "library", ("invalid-request",), ("ETag", "Cache-Control"), cached=True
    ),
    "GET /v1/map": Call("map", (), ("ETag", "Cache-Control"), cached=True),
    "POST /v1/jobs": Call("begin_job", ("invalid-request", "busy"), ("Location",)),
    "GET /v1/jobs/{job_id}": Call("get_job", ("not-found",)),
    "GET /v1/jobs/{job_id}/events": Call("job_events", ("not-found", "invalid-request")),
    "DELETE /v1/jobs/{job_id}": Call("cancel_job", ("not-found",)),
    "POST /v1/feedback": Call(
        "give_feedback", (*HEARING, "unknown-clip", "unsupported-media-type")
    ),
    "GET /v1/feedback": Call("list_feedback", ("invalid-request",)),
    "GET /v1/feedback/manifest.csv": Call("feedback_manifest", (), ("Content-Disposition",)),
    "GET /v1/model": Call("model"),
    "GET /healthz": Call("alive"),
    "GET /readyz": Call("ready", ("unavailable",)),
    "GET /metrics": Call("metrics"),
    "GET /problems/{name}": Call("problem_type", ("not-found",)),
}

# Whose `id` is for which parameter of which calls.
LINKS = {
    "add_clip": (
        "clip_id",
        ("get_clip", "edit_clip", "clip_audio", "clip_waveform", "similar", "remove_clip"),
    ),
    "begin_job": ("job_id", ("get_job", "job_events", "cancel_job")),
}
