"""What a route states about itself for the OpenAPI document, at its decorator.

    @router.get("/v1/clips/{clip_id}", **operation("get_clip", problems=("unknown-clip",)))

The summary is the first sentence of the route's docstring. What holds for many routes (keys,
rates, bodies) is not stated here: `service.openapi.document` adds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

FACTS = "x-earmark"  # where the facts lie until the document is made

# Problems of all searches, and of all operations that embed an uploaded sound.
NAMES_PROBLEMS = ("unknown-collection", "unknown-classifier")  # of all filters
SEARCH_PROBLEMS = ("invalid-request", *NAMES_PROBLEMS, "busy", "deadline")
UPLOAD_PROBLEMS = ("invalid-request", "not-a-sound", "busy", "deadline")


class Tag(TypedDict):
    """A group of operations, with its description."""

    name: str
    description: str


class Facts(TypedDict):
    """What `operation` was given."""

    problems: Sequence[str]
    headers: Sequence[str]
    cached: bool
    links: Mapping[str, Sequence[str]]
    selects_fields: bool


class RouteOptions(TypedDict):
    """Arguments of a route's decorator."""

    operation_id: str
    openapi_extra: dict[str, Any]


def operation(
    operation_id: str,
    *,
    problems: Sequence[str] = (),
    headers: Sequence[str] = (),
    cached: bool = False,
    links: Mapping[str, Sequence[str]] | None = None,
    selects_fields: bool = False,
    **openapi: Any,  # noqa: ANN401 (JSON)
) -> RouteOptions:
    """The decorator's arguments for an operation.

    `operation_id`: the name in generated clients, which never changes. `problems`: types of
    problem (`service.http.problems`) that only this route answers with. `headers`: those that each
    of its good answers has. `cached`: it takes If-None-Match. `links`: a path parameter → the
    operations that take the `id` of this answer as it. `selects_fields`: a request can name the
    fields of the hits. `openapi`: further keys of the operation, as OpenAPI defines them.
    """
    facts: Facts = {
        "problems": problems,
        "headers": headers,
        "cached": cached,
        "links": links or {},
        "selects_fields": selects_fields,
    }
    return {"operation_id": operation_id, "openapi_extra": {FACTS: facts, **openapi}}
