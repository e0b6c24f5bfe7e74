"""A tiny OTLP/HTTP receiver: what it is sent, as spans."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

WAIT_SECONDS = 20.0


@dataclass
class Collector:
    """Where it listens, and the (resource's attributes, span) that came so far."""

    address: str
    came: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    def spans(self, matches: Callable[[Any], bool], count: int = 1) -> list[Any]:
        """The spans that match, once there are `count` of them."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            found = [span for _, span in list(self.came) if matches(span)]
            if len(found) >= count:
                return found
            names = [span.name for _, span in self.came]
            assert time.monotonic() < until, f"{len(found)} of {count} came, of {names}"
            time.sleep(0.02)


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A receiver that runs while the context lasts."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if (self.path, self.headers["Content-Type"]) != (
                "/v1/traces",
                "application/x-protobuf",
            ):
                self.send_error(400)
                return
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                about = {
                    attribute.key: attribute.value.string_value
                    for attribute in group.resource.attributes
                }
                for scope in group.scope_spans:
                    collector.came.extend((about, span) for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        collector = Collector(f"http://127.0.0.1:{receiver.server_port}/v1/traces")
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            receiver.shutdown()
            thread.join()
