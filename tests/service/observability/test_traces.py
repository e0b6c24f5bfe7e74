"""Traces: real spans over OTLP/HTTP, what they tell and what they must not."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import pytest

from earmark.model.core.errors import ConfigError
from earmark.service.app import create_app
from earmark.service.settings import Settings
from tests.service import sounds
from tests.service.observability.collector import Collector
from tests.service.server_process import Server


def attributes(span: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


def trace_of(collector: Collector, request_id: str) -> tuple[Any, list[Any]]:
    """The span of the request with that id, and those within."""
    root = collector.spans(lambda span: attributes(span).get("earmark.request_id") == request_id)[0]
    within = collector.spans(
        lambda span: span.trace_id == root.trace_id and span.span_id != root.span_id, count=0
    )
    return root, within


def test_an_upload_is_a_trace_of_its_stages(traced: Server, collector: Collector) -> None:
    response = traced.upload(sounds.noise(2.0, seed=5))
    assert response.status_code == 200
    root, within = trace_of(collector, response.headers["x-request-id"])
    assert root.name == "POST /v1/tags"
    assert attributes(root)["http.route"] == "/v1/tags"
    assert {"decode", "features", "encode"} <= {span.name for span in within}
    for span in within:
        assert root.start_time_unix_nano - 1e6 <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano + 1e6
    about = next(about for about, span in collector.came if span is root)
    assert about["service.name"] == "earmark"


def test_a_trace_goes_on_where_the_caller_began_it(traced: Server, collector: Collector) -> None:
    trace, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    response = traced.client.get("/v1/model", headers={"traceparent": f"00-{trace}-{parent}-01"})
    root, _ = trace_of(collector, response.headers["x-request-id"])
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (trace, parent)


def test_spans_tell_neither_words_nor_keys_nor_probes(traced: Server, collector: Collector) -> None:
    word, secret = f"zq{uuid.uuid4().hex}", f"em_{uuid.uuid4().hex}"
    traced.client.get("/readyz")
    response = traced.client.get(f"/v1/search?q={word}", headers={"X-API-Key": secret})
    trace_of(collector, response.headers["x-request-id"])
    exported = str([span for _, span in collector.came])
    assert word not in exported
    assert secret not in exported
    assert "readyz" not in exported


def test_an_endpoint_must_be_an_address() -> None:
    with pytest.raises(ConfigError, match="traces: expected an address such as http"):
        create_app(Settings(traces="localhost:4318"))


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "earmark.service.observability.traces", raising=False)
    with pytest.raises(ConfigError, match=r"traces: needs `pip install earmark\[traces\]`"):
        create_app(Settings(traces="http://127.0.0.1:1/v1/traces"))
