"""Metrics: what a real server counts, and what its labels may hold."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from earmark.index.errors import StorageError
from earmark.service.app import create_app
from earmark.service.observability.metrics import METHODS, STAGES, UNMATCHED, Metrics
from earmark.service.settings import Settings
from tests.service import sounds
from tests.service.server_process import Server

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Values:
    """All samples, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics_of(server: Server) -> Values:
    answer = server.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return parsed(answer.text)


def value(values: Values, name: str, **labels: str) -> float:
    return values.get((name, frozenset(labels.items())), 0.0)


def grown(before: Values, after: Values, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def test_requests_are_counted_by_route_method_and_status(server: Server) -> None:
    before = metrics_of(server)
    for number in range(3):
        assert server.client.get(f"/v1/search?q=rain&k={number + 1}").status_code == 200
    assert server.client.get("/v1/search?q=rain&k=0").status_code == 422
    assert server.client.get("/v1/clips/nothing-of-that-id").status_code == 404
    after = metrics_of(server)
    counted = "earmark_http_requests_total"
    search = {"route": "/v1/search", "method": "GET"}
    assert grown(before, after, counted, **search, status="200") == 3
    assert grown(before, after, counted, **search, status="422") == 1
    assert grown(before, after, "earmark_http_request_seconds_count", **search) == 4
    clip = {"route": "/v1/clips/{clip_id}", "method": "GET", "status": "404"}
    assert grown(before, after, counted, **clip) == 1
    seconds = grown(before, after, "earmark_http_request_seconds_sum", **search)
    assert 0 < seconds < 60


def test_labels_hold_no_addresses_and_no_invented_methods(server: Server) -> None:
    templates = set(server.client.get("/openapi.json").json()["paths"])
    for path in ("/v1/clips/some-id", "/wp-login.php?a=b", "/v1/clips/a/b/c", "/%00%0a", "/x" * 99):
        server.client.get(path)
        server.client.request("PROPFIND", path)
    seen = [dict(labels) for _, labels in metrics_of(server)]
    routes = {labels["route"] for labels in seen if "route" in labels}
    methods = {labels["method"] for labels in seen if "method" in labels}
    known = templates | {"/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect", UNMATCHED}
    assert routes <= known
    assert methods <= METHODS | {"other"}
    assert "other" in methods


def test_stages_of_uploads_and_searches_are_timed(server: Server) -> None:
    before = metrics_of(server)
    assert server.upload(sounds.noise(3.0, seed=41)).status_code == 200
    assert server.client.get("/v1/search?q=dog+that+barks+41").status_code == 200
    after = metrics_of(server)
    for stage in STAGES:
        assert grown(before, after, "earmark_stage_seconds_count", stage=stage) >= 1, stage
        assert grown(before, after, "earmark_stage_seconds_sum", stage=stage) > 0, stage
    assert grown(before, after, "earmark_batch_size_count") >= 1


def test_gauges_of_the_library_the_queues_and_the_build(server: Server) -> None:
    values = metrics_of(server)
    assert value(values, "earmark_clips") == 6
    assert value(values, "earmark_generation") >= 1
    for name in ("uploads_waiting", "uploads_working"):
        assert values[f"earmark_{name}", frozenset()] == 0
    assert value(values, "earmark_requests_in_work") == 1  # this one
    model = server.client.get("/v1/model").json()["fingerprint"]
    build = next(dict(labels) for name, labels in values if name == "earmark_build_info")
    assert (build["model"], build["device"]) == (model, "cpu")
    assert value(values, "process_resident_memory_bytes") > 1e7


def test_recall_of_searches_is_measured(traced: Server) -> None:
    assert traced.client.get("/v1/search?q=rain&tag=rain").status_code == 200
    until = time.monotonic() + 60
    while not value(metrics_of(traced), "earmark_recall_at_10_count"):
        assert time.monotonic() < until
        time.sleep(0.05)
    values = metrics_of(traced)
    assert value(values, "earmark_recall_at_10_sum") == value(values, "earmark_recall_at_10_count")


def test_two_applications_in_one_process_count_apart(
    model_folder: Path, library_folder: Path
) -> None:
    settings = Settings(model=model_folder, library=library_folder)

    async def answers(*paths: str) -> list[httpx.Response]:
        app = create_app(settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            return [await client.get(path) for path in paths]

    name, labels = "earmark_http_requests_total", {"route": "/v1/clips", "method": "GET"}
    for paths in (["/v1/clips", "/metrics"], ["/metrics"]):
        values = parsed(asyncio.run(answers(*paths))[-1].text)
        assert value(values, name, **labels, status="200") == len(paths) - 1


def test_a_gauge_that_cannot_be_told_spoils_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> float:
        raise StorageError("the store does not answer")

    metrics = Metrics()
    metrics.watch("clips", fails)
    metrics.watch("generation", lambda: 3)
    values = parsed(metrics.render().decode())
    assert value(values, "earmark_generation") == 3
    assert ("earmark_clips", frozenset()) not in values
    assert "clips cannot be read: the store does not answer" in caplog.text


def test_a_stage_that_fails_is_timed_and_its_error_passes() -> None:
    metrics = Metrics()
    with pytest.raises(ValueError, match="no"), metrics.stage("encode"):
        raise ValueError("no")
    values = parsed(metrics.render().decode())
    assert value(values, "earmark_stage_seconds_count", stage="encode") == 1
