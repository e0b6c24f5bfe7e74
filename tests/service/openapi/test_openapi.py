"""The OpenAPI document: each change of it is seen, and it tells what clients are generated from."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from earmark.service.app import create_app
from earmark.service.http.problems import PROBLEMS
from earmark.service.settings import Settings

SNAPSHOT = Path(__file__).parent / "openapi.json"
REFRESH = "EARMARK_REFRESH=1"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = create_app(Settings()).openapi()
    return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, calls in document["paths"].items():
        for method, operation in calls.items():
            yield method.upper(), path, operation


def test_every_change_is_seen(document: dict[str, Any]) -> None:
    now = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if os.environ.get("EARMARK_REFRESH"):
        SNAPSHOT.write_text(now, encoding="utf-8")
    before = SNAPSHOT.read_text(encoding="utf-8")
    changes = difflib.unified_diff(before.splitlines(), now.splitlines(), "kept", "made", n=2)
    assert before == now, "\n".join(
        [
            "The OpenAPI document has changed. If clients may see it, say so in the changelog, and",
            f"keep it: {REFRESH} python -m pytest tests/service/openapi",
            *changes,
        ]
    )


def test_every_operation_has_an_id_and_links_lead_to_such(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    linked = {
        link["operationId"]
        for _, _, operation in operations(document)
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    }
    assert linked
    assert linked <= set(ids)


def test_no_internal_key_is_served(document: dict[str, Any]) -> None:
    assert "x-earmark" not in json.dumps(document)


def test_a_route_without_facts_fails_when_the_document_is_made() -> None:
    app = create_app(Settings())
    app.add_api_route("/v1/forgotten", lambda: {})
    with pytest.raises(AssertionError, match="no facts at the decorator of get /v1/forgotten"):
        app.openapi()


def test_every_call_is_described(document: dict[str, Any]) -> None:
    named = {item["name"] for item in document["tags"]}
    for method, path, operation in operations(document):
        assert set(operation["tags"]) <= named
        assert 5 < len(operation["summary"]) < 200, path
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description") or parameter["in"] == "path", (path, parameter)
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ())
        good = [status for status in operation["responses"] if status[0] == "2"]
        assert good, (method, path)


def test_every_type_of_problem_is_told_where_it_comes(document: dict[str, Any]) -> None:
    shared = document["components"]["responses"]
    documented: set[str] = set()
    for _, path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                name = response["$ref"].rpartition("/")[2]
                content = shared[name]["content"]["application/problem+json"]
                assert {PROBLEMS[item].status for item in content["examples"]} == {int(status)}
                documented |= set(content["examples"])
        writing = operation.get("security") == [{"bearer": []}, {"key": []}]
        assert not writing or {"401", "403"} <= operation["responses"].keys(), path
    assert documented == set(PROBLEMS)


def test_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    problem = Draft202012Validator(document["components"]["schemas"]["Problem"])
    for item in document["components"]["examples"].values():
        problem.validate(item["value"])
    for header in document["components"]["headers"].values():
        if "example" in header:
            Draft202012Validator(header["schema"]).validate(header["example"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in references(document):
        _, kind, group, name = reference.split("/")
        assert name in document[kind][group]


def test_the_served_document_is_this_one(document: dict[str, Any], server: Any) -> None:
    assert server.client.get("/openapi.json").json() == document
