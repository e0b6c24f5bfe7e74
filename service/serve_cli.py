"""`earmark serve`: the HTTP service."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` to the parser."""
    serve = commands.add_parser("serve", help="serve the page and the HTTP API")
    serve.add_argument("--library", type=Path, metavar="DIR", help="default: the demo sounds")
    serve.add_argument("--model", type=Path, metavar="PATH", help="default: the starter model")
    serve.add_argument("--host", metavar="H", help="default: 127.0.0.1")
    serve.add_argument("--port", type=int, metavar="P", help="default: 8000")
    serve.add_argument("--device", metavar="D", help="cpu (default), cuda or cuda:N")
    serve.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    import pydantic
    import uvicorn

    from model.errors import ConfigError
    from service.app import create_app, open_engine
    from service.settings import Settings

    given = {
        name: value
        for name in ("library", "model", "host", "port", "device")
        if (value := getattr(options, name)) is not None
    }
    try:
        settings = Settings(**given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{name}: {first['msg']}, got {first['input']!r}") from error
    # uvicorn stops in good order and then raises the signal again: asked to stop, we end well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = create_app(settings, open_engine(settings))
    uvicorn.run(app, host=settings.host, port=settings.port, log_level="info")
    return 0
