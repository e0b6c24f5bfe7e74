"""`earmark serve`: the HTTP service."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

log = logging.getLogger(__name__)

OTHER_FILES = 256  # open files beside connections: the library, uploads, pipes of processes


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the parser."""
    serve = commands.add_parser("serve", help="serve the page and the HTTP API")
    serve.add_argument("--library", type=Path, metavar="DIR", help="default: the demo sounds")
    serve.add_argument("--model", type=Path, metavar="PATH", help="default: the starter model")
    serve.add_argument("--host", metavar="H", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, metavar="P", help="default: 8000")
    serve.add_argument("--device", metavar="D", help="cpu (default), cuda or cuda:N")
    serve.add_argument(
        "--runtime", metavar="R", help="torch or onnx; default: what the model's files are made for"
    )
    serve.add_argument(
        "--mcp", action="store_true", default=None, help="let assistants use it, at /mcp"
    )
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    import uvicorn

    from earmark.service.app import create_app
    from earmark.service.auth.client_address import is_loopback
    from earmark.service.observability.logs import configure
    from earmark.service.server.connection_limits import limited_protocol
    from earmark.service.server.readiness import Readiness
    from earmark.service.server.shutdown import serve
    from earmark.service.services import open_fork_server, open_library
    from earmark.service.settings import read_settings

    arguments = {
        name: value
        for name in ("library", "model", "host", "port", "device", "runtime", "mcp")
        if (value := getattr(options, name)) is not None
    }
    settings = read_settings(**arguments)
    configure(settings.log_format, settings.log_level)
    if settings.keys is None and not is_loopback(settings.host):
        log.warning(
            "listening on %s: writing from elsewhere is refused, because there are no keys "
            "(EARMARK_KEYS)", settings.host,
        )  # fmt: skip
    # Until the server handles signals itself: a stop during the start is no error.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    library = open_library(settings)
    readiness = Readiness(settings.ready_seconds)
    app = create_app(settings, library, open_fork_server(settings, library), readiness)
    _raise_file_limit(settings.max_connections + OTHER_FILES)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,  # see earmark.service.observability.logs
        access_log=False,  # see earmark.service.middleware.access_log
        timeout_graceful_shutdown=settings.shutdown_seconds,
        http=limited_protocol(settings),
        ws="none",
        proxy_headers=False,  # see earmark.service.auth.authorization
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        backlog=settings.max_connections,
    )
    serve(config, readiness.stop, settings.drain_seconds)
    return 0


def _raise_file_limit(required: int) -> None:
    """Raise the limit of open files as far as the system allows; 1,024 is a common default."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounded = hard != resource.RLIM_INFINITY
    if bounded and hard < required:
        log.warning("open files: EARMARK_MAX_CONNECTIONS needs %d, got %d", required, hard)
        required = hard
    if soft != resource.RLIM_INFINITY and soft < required:
        resource.setrlimit(resource.RLIMIT_NOFILE, (required, hard))
