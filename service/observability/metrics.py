"""What the service measures, for Prometheus: requests, stages of work, queues, the library.

Conventions: one `Metrics` an app with a registry of its own; one process with several threads, all
of which may call it. Times in seconds. Labels take few values: a request counts under its route's
template, never under its address. Whoever works says so by `with metrics.stage("encode"): …`, which
is also where spans of traces come from. It costs a microsecond or two; where nobody looks, make a
`Metrics()` and leave it.
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
UNMATCHED = "unmatched"  # the route of what no route takes, files of the page among them
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


_UNTRACED = nullcontext()


class Tracer(Protocol):
    """Where spans go when requests are traced (`service.observability.traces`)."""

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span of this name while the context lasts."""

    def spent(self, name: str, seconds: float) -> None:
        """A span of this name that ends now."""


class Stage:
    """Measures the time within; a failure counts as well."""

    __slots__ = ("_histogram", "_since", "_span")

    def __init__(self, histogram: Histogram, span: AbstractContextManager[object] | None) -> None:
        self._histogram, self._span = histogram, span
        self._since = 0.0

    def __enter__(self) -> None:
        if self._span is not None:
            self._span.__enter__()
        self._since = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._histogram.observe(perf_counter() - self._since)
        if self._span is not None:
            self._span.__exit__(kind, error, trace)


class Metrics:
    """All that is measured. Safe to share between threads.

    `tracer`: told of each stage as well.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self.tracer = tracer
        self.registry = own = CollectorRegistry()
        self._requests = Counter(
            "earmark_http_requests", "Requests answered", ["route", "method", "status"],
            registry=own,
        )  # fmt: skip
        self._request_seconds = Histogram(
            "earmark_http_request_seconds", "From a request's head to the end of its answer",
            ["route", "method"], buckets=SECONDS, registry=own,
        )  # fmt: skip
        self._stage_seconds = Histogram(
            "earmark_stage_seconds", "Time within a stage of work", ["stage"],
            buckets=STAGE_SECONDS, registry=own,
        )  # fmt: skip
        self._batches = Histogram(
            "earmark_batch_size", "Sounds the encoder takes at once", buckets=BATCHES, registry=own
        )
        self._rejected = Counter(
            "earmark_rejected", "Requests refused for load: queue full, late, too frequent",
            ["reason"], registry=own,
        )  # fmt: skip
        self._cancelled = Counter(
            "earmark_cancelled", "Requests whose client left before the answer", registry=own
        )
        self._recalls = Histogram(
            "earmark_recall_at_10", "Of the 10 nearest clips, the share that the index found",
            buckets=RECALLS, registry=own,
        )  # fmt: skip
        self._watched = _Watched()
        own.register(self._watched)
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)
        GCCollector(registry=own)
        # Children looked up once: a look-up takes a lock and makes strings.
        self._stages = {name: self._stage_seconds.labels(name) for name in STAGES}
        self._reasons = {name: self._rejected.labels(name) for name in REJECTIONS}
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    # Telling

    def stage(self, name: str) -> Stage:
        """A context that is this stage of a request's work: one of STAGES."""
        span = None if self.tracer is None else self.tracer.span(name)
        return Stage(self._stages[name], span)

    def span(self, name: str) -> AbstractContextManager[object]:
        """A context that is a span of a request's trace, and not measured beside: for a request
        that waits for a stage which it shares with others."""
        return _UNTRACED if self.tracer is None else self.tracer.span(name)

    def spent(self, name: str, seconds: float) -> None:
        """A stage that was measured elsewhere, in another process for one, and ends now."""
        self._stages[name].observe(seconds)
        if self.tracer is not None:
            self.tracer.spent(name, seconds)

    def batch(self, size: int) -> None:
        """The encoder took so many sounds at once."""
        self._batches.observe(size)

    def rejected(self, reason: str) -> None:
        """A request was refused: one of REJECTIONS."""
        self._reasons[reason].inc()

    def cancelled(self) -> None:
        """A client left before its answer."""
        self._cancelled.inc()

    def recall(self, share: float) -> None:
        """Of the nearest clips of a sampled query, the share that the index found."""
        self._recalls.observe(share)

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered. `route`: the template of its address, UNMATCHED for none."""
        method = method if method in METHODS else "other"
        try:
            count, times = self._answers[route, method, status]
        except KeyError:
            count = self._requests.labels(route, method, status)
            times = self._request_seconds.labels(route, method)
            self._answers[route, method, status] = count, times
        count.inc()
        times.observe(seconds)

    def watch(self, name: str, value: Callable[[], float]) -> None:
        """Ask for a gauge's value, one of GAUGES, whenever somebody looks."""
        self._watched.gauges[name] = value, GAUGES[name]

    def build(self, version: str, model: str, device: str) -> None:
        """What runs here: the package's version, the model's fingerprint, its device."""
        self._watched.build = (version, model, device)

    # Looking

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Watched(Collector):
    """Values that are asked for when somebody looks. Unlike Gauge.set_function, one that cannot be
    told now (a store that does not answer) is left out and spoils none of the others."""

    def __init__(self) -> None:
        self.gauges: dict[str, tuple[Callable[[], float], str]] = {}
        self.build: Sequence[str] = ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        if self.build:
            labels = ("version", "model", "device")
            info = GaugeMetricFamily("earmark_build_info", "What runs here", labels=labels)
            info.add_metric(self.build, 1)
            yield info
        for name, (value, says) in list(self.gauges.items()):
            try:
                now = float(value())
            except EarmarkError as error:
                log.warning("metrics: %s cannot be told: %s", name, error)
            else:
                yield GaugeMetricFamily(f"earmark_{name}", says, value=now)
