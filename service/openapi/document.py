"""The OpenAPI document, made complete in this one place.

FastAPI knows parameters, bodies and good answers. What middleware and error handlers do is added
here by rule: problems, headers, keys. So a new route needs a line in `service.openapi.operations`
and nothing else; one without it fails when the document is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from earmark.service.auth.authorization import PROBES, writes
from earmark.service.http.problems import PROBLEMS, ProblemType
from earmark.service.openapi.components import (
    DETAILS,
    EVENT,
    HEADER_NAMES,
    HEADERS,
    IF_NONE_MATCH,
    OF_PROBLEM,
    PROGRESS,
    RANGE,
    SCHEMES,
    STREAMS,
)
from earmark.service.openapi.operations import CALLS, LINKS, TAGS, Call

Json = dict[str, Any]

PROBLEM = "application/problem+json"
FORM = "multipart/form-data"
EVENTS = "text/event-stream"
BY_KEY: list[Json] = [{"bearer": []}, {"key": []}]


def operation_id(route: APIRoute) -> str:
    """The name that clients are generated with."""
    for method in sorted(route.methods or ()):
        if call := CALLS.get(f"{method} {route.path_format}"):
            return call.id
    assert not route.include_in_schema, f"no line in CALLS for {route.methods} {route.path_format}"
    return route.name


def install(app: FastAPI) -> None:
    """Let the application describe itself so."""

    def described() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's documentation has it


def document(app: FastAPI) -> Json:
    """The whole document."""
    made: Json = get_openapi(
        title=app.title,
        version=app.version,
        summary="Finds sounds with words and words for sounds",
        description=app.description,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        servers=[{"url": "/", "description": "This service"}],
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    components: Json = made["components"]
    _components(components)
    for path, calls in made["paths"].items():
        for method, operation in calls.items():
            _complete(f"{method.upper()} {path}", operation, components)
    return made


def _components(components: Json) -> None:
    schemas: Json = components["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"]["properties"]["type"]["enum"] = [f"/problems/{each}" for each in PROBLEMS]
    _picked(schemas)
    components["securitySchemes"] = SCHEMES
    components["headers"] = HEADERS
    components["responses"] = {}
    components["examples"] = {name: _example(kind) for name, kind in PROBLEMS.items()}
    for name, schema in schemas.items():
        if name.startswith("Body_"):
            _form(schema)


def _picked(schemas: Json) -> None:
    """Hits of which only some fields are asked for have only those."""
    hit, body = deepcopy(schemas["HitBody"]), deepcopy(schemas["SearchBody"])
    del hit["required"]
    hit |= {"title": "PickedHit", "description": "Those fields of a hit that were asked for."}
    body["properties"]["hits"]["items"] = _ref("schemas", "PickedHit")
    body |= {"title": "PickedBody", "description": "Hits with the fields asked for."}
    schemas |= {"PickedHit": hit, "PickedBody": body}


def _complete(name: str, operation: Json, components: Json) -> None:
    call, (method, _, path) = CALLS[name], name.partition(" ")
    schemas: Json = components["schemas"]
    operation["summary"] = _first_sentence(operation["description"])
    _parameters(path, call, operation)
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if media == FORM:
            _sounds(content, schemas)
    if path == "/v1/search":
        either = [_ref("schemas", "SearchBody"), _ref("schemas", "PickedBody")]
        operation["responses"]["200"]["content"]["application/json"]["schema"] = {"anyOf": either}
    _answers(path, call, operation, components)
    if path not in PROBES:
        wanted = writes({"method": method, "path": path})
        operation["security"] = BY_KEY if wanted else [{}, *BY_KEY]


def _parameters(path: str, call: Call, operation: Json) -> None:
    parameters: list[Json] = operation.setdefault("parameters", [])
    for each in parameters:
        each["schema"] = _never_null(each["schema"])
        if each["in"] == "path":
            each["schema"]["minLength"] = 1
        if path.startswith("/problems/"):
            each["schema"]["enum"] = list(PROBLEMS)
        if each["name"] == "clip_id":
            each["description"] = "Its id, percent-encoded"
        each["name"] = HEADER_NAMES.get(each["name"], each["name"])
    names = {each["name"] for each in parameters}
    if call.cached and "If-None-Match" not in names:
        parameters.append(IF_NONE_MATCH)
    if path.endswith("/audio") and call.cached:
        parameters.append(RANGE)
    if not parameters:
        del operation["parameters"]


def _sounds(content: Json, schemas: Json) -> None:
    """Say that files of a form are sounds."""
    content["encoding"] = {"file": {"contentType": "audio/*, video/*, application/octet-stream"}}
    named = content["schema"].get("$ref", "").rpartition("/")[2]
    _form(schemas[named] if named else content["schema"])


def _form(schema: Json) -> None:
    properties: Json = schema["properties"]
    for name, each in properties.items():
        properties[name] = _never_null(each)


def _never_null(schema: Json) -> Json:
    """Without the null that no address, header or form can hold."""
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**kinds[0], **rest}


def _answers(path: str, call: Call, operation: Json, components: Json) -> None:
    responses: Json = operation["responses"]
    for each in ("4XX", "422"):
        responses.pop(each, None)
    everywhere = ["X-Request-ID"]
    if path.startswith("/v1/"):
        everywhere += ["RateLimit-Policy", "RateLimit"]
    for status, response in responses.items():
        always = call.headers if status != "304" else ("ETag", "Cache-Control")
        always += ("Content-Range",) if status == "206" else ()
        response["headers"] = _headers(always, everywhere)
        for media, content in response.get("content", {}).items():
            _describe(media, path, content, response, components["schemas"])
        if status[0] == "2" and call.id in LINKS:
            response["links"] = _links(*LINKS[call.id])
    if call.cached and "304" not in responses:
        responses["304"] = {
            "description": "You have it already",
            "headers": _headers(("ETag", "Cache-Control"), everywhere),
        }
    names = dict.fromkeys((*call.problems, *_common(path, operation)))
    for code in {PROBLEMS[name].status for name in names}:
        kinds = sorted(name for name in names if PROBLEMS[name].status == code)
        shared = ".".join(kinds)
        components["responses"].setdefault(shared, _problem([PROBLEMS[name] for name in kinds]))
        responses[str(code)] = _ref("responses", shared)
    operation["responses"] = dict(sorted(responses.items()))


def _links(parameter: str, calls: tuple[str, ...]) -> Json:
    """Calls that take the id which this answer has."""
    given = {parameter: "$response.body#/id"}
    return {each: {"operationId": each, "parameters": given} for each in calls}


def _describe(media: str, path: str, content: Json, response: Json, schemas: Json) -> None:
    """The schema of a body that FastAPI does not know; a description where it has none."""
    if media == EVENTS:
        content |= {"schema": EVENT, "example": STREAMS.get(path, PROGRESS)}
    elif not media.endswith("json") and not content.get("schema"):
        content["schema"] = {"type": "string", "format": "binary"}
    named = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if response["description"] == "Successful Response":
        response["description"] = schemas.get(named, {}).get("description", HTTPStatus(200).phrase)


def _common(path: str, operation: Json) -> Iterator[str]:
    """Problems that many calls share, by what they are."""
    yield from ("too-slow", "headers-too-large", "internal")
    if path in PROBES:
        return
    yield from ("unauthorized", "forbidden", "unavailable")
    if path.startswith("/v1/"):
        yield "too-many-requests"
    if "requestBody" in operation:
        yield from ("too-large", "invalid-request", "bad-request")


def _problem(kinds: list[ProblemType]) -> Json:
    """The answer of one status, for problems of these types."""
    status = kinds[0].status
    return {
        "description": " · ".join(f"`{each.name}`: {each.description}" for each in kinds),
        "headers": _headers(OF_PROBLEM.get(status, ()), ["X-Request-ID"]),
        "content": {
            PROBLEM: {
                "schema": _ref("schemas", "Problem"),
                "examples": {each.name: _ref("examples", each.name) for each in kinds},
            }
        },
    }


def _example(kind: ProblemType) -> Json:
    value = {
        "type": f"/problems/{kind.name}",
        "title": kind.title,
        "status": kind.status,
        "detail": DETAILS.get(kind.name, kind.description),
    }
    return {"summary": kind.title, "value": value}


def _headers(always: tuple[str, ...], more: list[str]) -> Json:
    return {
        **{name: {**HEADERS[name], "required": True} for name in always},
        **{name: _ref("headers", name) for name in more},
    }


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].rstrip(".")
