"""The OpenAPI document: FastAPI's, completed with what middleware and error handlers do.

FastAPI knows parameters, bodies and good answers. Problems, headers and keys are added here by
rule. A new route states its own facts at its decorator (`service.openapi.operation`); without them
the document cannot be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from earmark.service.auth.authorization import HEALTH_CHECKS, writes
from earmark.service.http.addresses import address, problem_address
from earmark.service.http.problems import PROBLEMS, ProblemType
from earmark.service.openapi.components import (
    DETAIL_EXAMPLES,
    EVENT,
    HEADER_NAMES,
    HEADERS,
    IF_NONE_MATCH,
    PROBLEM_HEADERS,
    PROGRESS_EXAMPLE,
    SCHEMES,
)
from earmark.service.openapi.operation import FACTS, Facts

Json = dict[str, Any]

PROBLEM_MEDIA = "application/problem+json"
FORM_MEDIA = "multipart/form-data"
EVENTS_MEDIA = "text/event-stream"
NEEDS_KEY: list[Json] = [{"bearer": []}, {"key": []}]


def install(app: FastAPI) -> None:
    """Serve this document in place of FastAPI's."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's documentation has it


def document(app: FastAPI) -> Json:
    """The whole document, with the addresses of the request that asks for it."""
    made: Json = get_openapi(
        title=app.title,
        version=app.version,
        summary="Finds sounds with words and words for sounds",
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": address("") or "/", "description": "This service"}],
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    components: Json = made["components"]
    _components(components)
    for path, operations in made["paths"].items():
        for method, operation in operations.items():
            assert FACTS in operation, f"no facts at the decorator of {method} {path}"
            _complete(method.upper(), path, operation, components)
    return made


def _components(components: Json) -> None:
    schemas: Json = components["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"]["properties"]["type"]["enum"] = [problem_address(name) for name in PROBLEMS]
    _add_selected_fields(schemas)
    components["securitySchemes"] = SCHEMES
    components["headers"] = HEADERS
    components["responses"] = {}
    components["examples"] = {name: _example(kind) for name, kind in PROBLEMS.items()}
    for name, schema in schemas.items():
        if name.startswith("Body_"):
            _form(schema)


def _add_selected_fields(schemas: Json) -> None:
    """Add schemas of hits that have only the fields which the request names."""
    hit, body = deepcopy(schemas["HitBody"]), deepcopy(schemas["SearchBody"])
    del hit["required"]
    hit |= {"title": "PickedHit", "description": "A hit with the requested fields only."}
    body["properties"]["hits"]["items"] = _ref("schemas", "PickedHit")
    body |= {"title": "PickedBody", "description": "Hits with the requested fields only."}
    schemas |= {"PickedHit": hit, "PickedBody": body}


def _complete(method: str, path: str, operation: Json, components: Json) -> None:
    facts: Facts = operation.pop(FACTS)
    schemas: Json = components["schemas"]
    operation["summary"] = _first_sentence(operation["description"])
    _parameters(facts, operation)
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        if media == FORM_MEDIA:
            _sounds(content, schemas)
    if facts["selects_fields"]:
        either = [_ref("schemas", "SearchBody"), _ref("schemas", "PickedBody")]
        operation["responses"]["200"]["content"]["application/json"]["schema"] = {"anyOf": either}
    _answers(path, facts, operation, components)
    if path not in HEALTH_CHECKS:
        needs_key = writes({"method": method, "path": path})
        operation["security"] = NEEDS_KEY if needs_key else [{}, *NEEDS_KEY]


def _parameters(facts: Facts, operation: Json) -> None:
    parameters: list[Json] = operation.setdefault("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _without_null(parameter["schema"])
        if parameter["in"] == "path":
            parameter["schema"]["minLength"] = 1
        parameter["name"] = HEADER_NAMES.get(parameter["name"], parameter["name"])
    names = {parameter["name"] for parameter in parameters}
    if facts["cached"] and "If-None-Match" not in names:
        parameters.append(IF_NONE_MATCH)
    if not parameters:
        del operation["parameters"]


def _sounds(content: Json, schemas: Json) -> None:
    """Give the files of a form the media types of sounds."""
    content["encoding"] = {"file": {"contentType": "audio/*, video/*, application/octet-stream"}}
    named = content["schema"].get("$ref", "").rpartition("/")[2]
    _form(schemas[named] if named else content["schema"])


def _form(schema: Json) -> None:
    properties: Json = schema["properties"]
    for name, schema_of_field in properties.items():
        properties[name] = _without_null(schema_of_field)


def _without_null(schema: Json) -> Json:
    """The schema without null, which no address, header or form can hold."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**kinds[0], **rest}


def _answers(path: str, facts: Facts, operation: Json, components: Json) -> None:
    responses: Json = operation["responses"]
    for status in ("4XX", "422"):
        responses.pop(status, None)
    everywhere = ["X-Request-ID"]
    if path.startswith("/v1/"):
        everywhere += ["RateLimit-Policy", "RateLimit"]
    for status, response in responses.items():
        always = [*facts["headers"]] if status != "304" else ["ETag", "Cache-Control"]
        always += ["Content-Range"] if status == "206" else []
        response["headers"] = _headers(always, everywhere)
        for media, content in response.get("content", {}).items():
            _describe(media, content, response, components["schemas"])
        if status[0] == "2" and facts["links"]:
            response["links"] = _links(facts["links"])
    if facts["cached"] and "304" not in responses:
        responses["304"] = {
            "description": "The cached answer is current",
            "headers": _headers(("ETag", "Cache-Control"), everywhere),
        }
    names = dict.fromkeys((*facts["problems"], *_common(path, operation)))
    for code in {PROBLEMS[name].status for name in names}:
        kinds = sorted(name for name in names if PROBLEMS[name].status == code)
        shared = ".".join(kinds)
        components["responses"].setdefault(shared, _problem([PROBLEMS[name] for name in kinds]))
        responses[str(code)] = _ref("responses", shared)
    operation["responses"] = dict(sorted(responses.items()))


def _links(links: Mapping[str, Sequence[str]]) -> Json:
    """Operations that take the answer's id as a parameter."""
    return {
        target: {"operationId": target, "parameters": {parameter: "$response.body#/id"}}
        for parameter, targets in links.items()
        for target in targets
    }


def _describe(media: str, content: Json, response: Json, schemas: Json) -> None:
    """Complete the schema and the description of a body that FastAPI does not know."""
    if media == EVENTS_MEDIA:
        content |= {"schema": EVENT, "example": content.get("example", PROGRESS_EXAMPLE)}
    elif not media.endswith("json") and not content.get("schema"):
        content["schema"] = {"type": "string", "format": "binary"}
    named = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    if response["description"] == "Successful Response":
        response["description"] = schemas.get(named, {}).get("description", HTTPStatus(200).phrase)


def _common(path: str, operation: Json) -> Iterator[str]:
    """Problems that many operations share."""
    yield from ("too-slow", "headers-too-large", "internal")
    if path in HEALTH_CHECKS:
        return
    yield from ("unauthorized", "forbidden", "unavailable")
    if path.startswith("/v1/"):
        yield "too-many-requests"
    if "requestBody" in operation:
        yield from ("too-large", "invalid-request", "bad-request")


def _problem(kinds: list[ProblemType]) -> Json:
    """The response of one status, for problems of these types."""
    status = kinds[0].status
    return {
        "description": " · ".join(f"`{kind.name}`: {kind.description}" for kind in kinds),
        "headers": _headers(PROBLEM_HEADERS.get(status, ()), ["X-Request-ID"]),
        "content": {
            PROBLEM_MEDIA: {
                "schema": _ref("schemas", "Problem"),
                "examples": {kind.name: _ref("examples", kind.name) for kind in kinds},
            }
        },
    }


def _example(kind: ProblemType) -> Json:
    value = {
        "type": problem_address(kind.name),
        "title": kind.title,
        "status": kind.status,
        "detail": DETAIL_EXAMPLES.get(kind.name, kind.description),
    }
    return {"summary": kind.title, "value": value}


def _headers(always: Sequence[str], more: Sequence[str]) -> Json:
    return {
        **{name: {**HEADERS[name], "required": True} for name in always},
        **{name: _ref("headers", name) for name in more},
    }


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0].rstrip(".")
