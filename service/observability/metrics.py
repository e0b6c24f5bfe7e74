"""Prometheus metrics of the service: requests, stages of work, queues, the library.

Conventions: one `Metrics` for an application, with its own registry; any thread may call it. Times
in seconds. Labels take few values: a request counts under its route's template, never under its
address. `with metrics.stage("encode"): …` measures a stage of work and makes its span of the trace,
at a cost of a microsecond or two. Where nobody reads the metrics, pass a `Metrics()`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import TracebackType
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from earmark.model.core.errors import EarmarkError

log = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST
STAGES = ("decode", "features", "encode", "search", "render")
REJECTIONS = ("busy", "deadline", "rate")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"  # route label of requests to no route, such as the page's files
GAUGES = {
    "uploads_waiting": "Uploads accepted that wait for their turn",
    "uploads_working": "Uploads being decoded or embedded",
    "searches_waiting": "Searches that wait for their turn",
    "requests_in_work": "Requests whose answer is not sent yet",
    "clips": "Clips that a search can find",
    "generation": "Writes to the library that the index has taken in",
}
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STAGE_SECONDS = (0.0001, 0.00025, 0.0005, *SECONDS)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


_NO_SPAN = nullcontext()


class Tracer(Protocol):
    """Records spans of traced requests (`service.observability.traces`)."""

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span that lasts as long as the context."""

    def add_span(self, name: str, seconds: float) -> None:
        """Record a span of this length that ends now."""


class Stage:
    """A context that measures its duration, whether or not it raises."""

    __slots__ = ("_histogram", "_span", "_started")

    def __init__(self, histogram: Histogram, span: AbstractContextManager[object] | None) -> None:
        self._histogram, self._span = histogram, span
        self._started = 0.0

    def __enter__(self) -> None:
        if self._span is not None:
            self._span.__enter__()
        self._started = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._histogram.observe(perf_counter() - self._started)
        if self._span is not None:
            self._span.__exit__(kind, error, trace)


class Metrics:
    """All metrics of an application. Safe to share between threads.

    `tracer`: records a span for each stage.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.tracer = tracer
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "earmark_http_requests", "Requests answered", ["route", "method", "status"],
            registry=registry,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "earmark_http_request_seconds", "From a request's head to the end of its answer",
            ["route", "method"], buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._stage_seconds = Histogram(
            "earmark_stage_seconds", "Time within a stage of work", ["stage"],
            buckets=STAGE_SECONDS, registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "earmark_batch_size",
            "Sounds the encoder takes at once",
            buckets=BATCHES,
            registry=registry,
        )
        self._rejected = Counter(
            "earmark_rejected", "Requests refused for load: queue full, late, too frequent",
            ["reason"], registry=registry,
        )  # fmt: skip
        self._cancelled = Counter(
            "earmark_cancelled", "Requests whose client left before the answer", registry=registry
        )
        self._recalls = Histogram(
            "earmark_recall_at_10", "Of the 10 nearest clips, the share that the index found",
            buckets=RECALLS, registry=registry,
        )  # fmt: skip
        self._gauges = _Gauges()
        registry.register(self._gauges)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        # Labelled children are looked up once: a look-up takes a lock and builds strings.
        self._stages = {name: self._stage_seconds.labels(name) for name in STAGES}
        self._reasons = {name: self._rejected.labels(name) for name in REJECTIONS}
        self._responses: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    # Recording

    def stage(self, name: str) -> Stage:
        """A context that measures a stage of work, one of STAGES, and traces it."""
        span = None if self.tracer is None else self.tracer.span(name)
        return Stage(self._stages[name], span)

    def span(self, name: str) -> AbstractContextManager[object]:
        """A context that is traced but not measured: for a request's wait for a batch, whose stages
        are measured once for all requests in it."""
        return _NO_SPAN if self.tracer is None else self.tracer.span(name)

    def add_stage(self, name: str, seconds: float) -> None:
        """Record a stage that was measured elsewhere, such as in another process, and ends now."""
        self._stages[name].observe(seconds)
        if self.tracer is not None:
            self.tracer.add_span(name, seconds)

    def observe_batch(self, size: int) -> None:
        """Record the size of a batch of the encoder."""
        self._batches.observe(size)

    def count_rejection(self, reason: str) -> None:
        """Count a refused request, by its reason: one of REJECTIONS."""
        self._reasons[reason].inc()

    def count_cancellation(self) -> None:
        """Count a request whose client disconnected before the answer."""
        self._cancelled.inc()

    def observe_recall(self, share: float) -> None:
        """Record the recall of a sampled query: the share of the nearest clips that was found."""
        self._recalls.observe(share)

    def observe_request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Record a request. `route`: the template of its address, UNMATCHED for none."""
        method = method if method in METHODS else "other"
        try:
            count, times = self._responses[route, method, status]
        except KeyError:
            count = self._requests.labels(route, method, status)
            times = self._request_seconds.labels(route, method)
            self._responses[route, method, status] = count, times
        count.inc()
        times.observe(seconds)

    def watch(self, name: str, value: Callable[[], float]) -> None:
        """Read a gauge, one of GAUGES, by this function at every scrape."""
        self._gauges.functions[name] = value, GAUGES[name]

    def set_build(self, version: str, model: str, device: str) -> None:
        """Set the build info: the package's version, the model's fingerprint, its device."""
        self._gauges.build = (version, model, device)

    # Scraping

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    """Gauges read at every scrape. Unlike with Gauge.set_function, one that fails (a store that
    does not answer) is left out and the others are still served."""

    def __init__(self) -> None:
        self.functions: dict[str, tuple[Callable[[], float], str]] = {}
        self.build: Sequence[str] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        if self.build:
            labels = ("version", "model", "device")
            info = GaugeMetricFamily("earmark_build_info", "What runs here", labels=labels)
            info.add_metric(self.build, 1)
            yield info
        for name, (value, description) in list(self.functions.items()):
            try:
                current = float(value())
            except EarmarkError as error:
                log.warning("metrics: %s cannot be read: %s", name, error)
            else:
                yield GaugeMetricFamily(f"earmark_{name}", description, value=current)
