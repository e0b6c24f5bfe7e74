"""What schemathesis sends where a schema cannot say what is valid.

Sounds stand for files. Of requests that are to be valid, what the service is made to refuse (a
cursor that no search gave, an If-Match of something else, durations that are no range, no word at
all) is put right before it is sent; so each refusal of a valid request is a fault. Requests to be
refused go as they are.
"""

from __future__ import annotations

import base64
import itertools
import struct
from typing import Any

import schemathesis
from hypothesis import strategies as st

from tests.service import sounds

NUMBERS = itertools.count(1)
SOUNDS = [sounds.noise(seconds, 7) for seconds in (0.2, 1.0, 2.5)]

schemathesis.openapi.media_type("audio/wav", st.sampled_from(SOUNDS))


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case, kwargs: Any) -> None:
    """Put right what is to be valid."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive:
        return
    _headers(case)
    if case.query:
        _query(case.query)
        if case.path.endswith("/timeline") and case.query.get("tags"):
            case.query["tags"] = ["dog, rain"]
        if case.query.get("labels"):
            case.query["labels"] = ["dog, rain"]
    if isinstance(case.body, dict):
        _body(case.path, case.body)
        if (case.method.upper(), case.path) == ("PATCH", "/v1/clips"):
            _bulk_edit(case.body)
        if case.path == "/v1/embeddings":
            _embeddings(case.body)
        if case.media_type != "application/json":
            # It takes any body with bytes in it that a hook has changed for an invalid one.
            case._sync_validated_hashes()


def _headers(case: schemathesis.Case) -> None:
    headers = case.headers or {}
    if "If-Match" in headers:
        headers["If-Match"] = "*"
    if "Range" in headers:
        headers["Range"] = "bytes=0-99"  # another may lie behind the end of the sound


def _query(query: dict[str, Any]) -> None:
    if query.get("cursor"):
        query["cursor"] = ""
    _stretch(query)
    for name in ("duration", "loudness"):
        ends = [query.get(f"min_{name}"), query.get(f"max_{name}")]
        if None not in ends:
            query[f"min_{name}"], query[f"max_{name}"] = sorted(ends)


def _classifier(_path: str, body: dict[str, Any]) -> None:
    """Names that are free, a tag that can be printed, and as many numbers as are said."""
    if body.get("name"):
        body["name"] = f"Taught {next(NUMBERS)}"
    if body.get("tag"):
        body["tag"] = "taught"
    if "vector" in body:
        body["dim"], body["vector"] = 16, base64.b64encode(struct.pack("<16f", *range(16))).decode()


def _collection(_path: str, body: dict[str, Any]) -> None:
    """Names that are free, and clips that are there."""
    if "name" in body:
        body["name"] = f"Collection {next(NUMBERS)}"
    for name in ("clips", "add", "move"):
        if name in body:
            body[name] = []
    body.pop("before", None)
    body.pop("follows", None)  # where it follows a search, its clips cannot be changed


def _bulk_edit(body: dict[str, Any]) -> None:
    """Of no clips: their ids and etags are others each time."""
    body.pop("where", None)
    body["ids"], body["etags"] = [], {}


def _stretch(values: dict[str, Any]) -> None:
    """Times within the shortest sound."""
    for name, time in (("start", 0.05), ("end", 0.15)):
        if name in values:
            values[name] = time


def _embeddings(body: dict[str, Any]) -> None:
    """The model that there is, words that it knows, and sounds."""
    body["model"] = "earmark"
    body.pop("dimensions", None)
    if "file" in body:
        body["file"] = SOUNDS[:2]
    elif isinstance(body["input"], str):
        body["input"] = "rain"
    else:
        sound = {"data": base64.b64encode(SOUNDS[0]).decode()}
        body["input"] = [
            "rain" if isinstance(item, str) else {**item, "input_audio": sound}
            for item in body["input"][:20]
        ]


def _body(path: str, body: dict[str, Any]) -> None:
    if path == "/v1/search":
        _query(body)
        if not body.get("tags") or all(tag.get("weight") == 0 for tag in body["tags"]):
            body["q"] = "rain"
    elif path == "/v1/classify":
        if "prompts" in body:
            body["prompts"] = '{"dog": ["dog bark", "puppy"], "rain": ["rain"]}'
            body.pop("labels", None)
        else:
            body["labels"] = ["dog", "rain"]
    elif path == "/v1/feedback":
        body["accepted"] = [*body.get("accepted", ())[:90], "rain"]
        body["rejected"] = ["wind"]  # no tag can be both
    elif path == "/v1/suggestions/leases":
        _query(body)
    elif path == "/v1/suggestions/verdicts":
        for number, verdict in enumerate(body["verdicts"]):
            verdict["tag"] = f"tag-{number}"  # of nothing printable none is made
    elif path == "/v1/search/audio":
        _stretch(body)
    elif path.startswith(("/v1/collections", "/v1/classifiers")):
        (_collection if "collections" in path else _classifier)(path, body)
    elif path == "/v1/jobs":
        body["file"] = SOUNDS[:2]
