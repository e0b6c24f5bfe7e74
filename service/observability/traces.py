"""OpenTelemetry traces: one span for a request, with spans for its stages of work inside, exported
to an OTLP/HTTP endpoint by a background thread.

Off by default; needs the extra `earmark[traces]`. Search queries and keys are not recorded, health
checks and metrics not traced.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractContextManager, nullcontext

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earmark.model.core.errors import ConfigError
from earmark.service.observability.logs import QUIET_PATHS, request_id

log = logging.getLogger(__name__)

EXPORT_SECONDS = 5.0  # time limit of one export to the endpoint
_FULL_SCOPE = "earmark.scope"  # key in the scope that OpenTelemetry sees, which has no query


class Traces:
    """Exports spans. Implements `service.observability.metrics.Tracer`.

    Raises ConfigError for an endpoint that is no address.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                f"traces: expected an address such as http://localhost:4318/v1/traces, "
                f"got {endpoint!r}"
            )
        resource = Resource.create({"service.name": "earmark", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("earmark", version)

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span within the request's; a null context outside traced requests."""
        if not trace.get_current_span().is_recording():
            return nullcontext()
        return self._tracer.start_as_current_span(name)

    def add_span(self, name: str, seconds: float) -> None:
        """Record a span of this length that ends now."""
        if trace.get_current_span().is_recording():
            now = time.time_ns()
            self._tracer.start_span(name, start_time=now - int(seconds * 1e9)).end(now)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """The application with a span around each request."""
        return _Traced(app, self._provider)

    def close(self) -> None:
        """Export the remaining spans."""
        self._provider.shutdown()


class _Traced:
    """Hides the query string from OpenTelemetry's middleware: it holds the search query."""

    def __init__(self, app: ASGIApp, provider: TracerProvider) -> None:
        self._app = app
        self._traced = OpenTelemetryMiddleware(
            self._inside,
            default_span_details=lambda scope: (scope["method"], {}),
            tracer_provider=provider,
            meter_provider=NoOpMeterProvider(),
            exclude_spans=["receive", "send"],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
            await self._app(scope, receive, send)
        else:
            visible = {**scope, "query_string": b"", _FULL_SCOPE: scope}
            await self._traced(visible, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        full = scope[_FULL_SCOPE]
        span = trace.get_current_span()
        span.set_attribute("earmark.request_id", request_id.get())

        async def send_traced(message: Message) -> None:
            # Only now is the route known; the span ends with the end of the answer.
            route = getattr(full.get("route"), "path_format", "")
            if route and message["type"] == "http.response.start":
                span.update_name(f"{full['method']} {route}")
                span.set_attribute("http.route", route)
            await send(message)

        await self._app(full, receive, send_traced)
