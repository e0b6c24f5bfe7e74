"""Traces by OpenTelemetry: a span a request, spans of the stages of its work within, sent to an
OTLP/HTTP endpoint by a thread.

For operators who ask for them: this needs the extra `earmark[traces]`. Neither what was searched
for nor keys are told; probes leave no trace.
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
from earmark.service.middleware.access_log import PROBES
from earmark.service.observability.logs import request_id

log = logging.getLogger(__name__)

SEND_SECONDS = 5.0  # that sending spans to the endpoint may take
_WHOLE = "earmark.scope"  # in the scope that OpenTelemetry sees: the request's own


class Traces:
    """Where spans go. Implements `service.observability.metrics.Tracer`. Raises ConfigError for no
    endpoint.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                f"traces: expected an address such as http://localhost:4318/v1/traces, "
                f"got {endpoint!r}"
            )
        resource = Resource.create({"service.name": "earmark", "service.version": version})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("earmark", version)

    def span(self, name: str) -> AbstractContextManager[object]:
        """A span of this name within the request's; none where no request is traced."""
        if not trace.get_current_span().is_recording():
            return nullcontext()
        return self._tracer.start_as_current_span(name)

    def spent(self, name: str, seconds: float) -> None:
        """A span of this name that ends now."""
        if trace.get_current_span().is_recording():
            now = time.time_ns()
            self._tracer.start_span(name, start_time=now - int(seconds * 1e9)).end(now)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """The application, each request to it a span."""
        return _Traced(app, self._provider)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


class _Traced:
    """Lets OpenTelemetry's middleware see the request without what was searched for."""

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
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
        else:
            seen = {**scope, "query_string": b"", _WHOLE: scope}
            await self._traced(seen, receive, send)

    async def _inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole = scope[_WHOLE]
        span = trace.get_current_span()
        span.set_attribute("earmark.request_id", request_id.get())

        async def sending(message: Message) -> None:
            # Now the route is known, and with the end of the answer the span ends.
            route = getattr(whole.get("route"), "path_format", "")
            if route and message["type"] == "http.response.start":
                span.update_name(f"{whole['method']} {route}")
                span.set_attribute("http.route", route)
            await send(message)

        await self._app(whole, receive, sending)
