"""What our connection limits and shutdown use of uvicorn beyond its documented interface.

pyproject.toml admits only the versions that the tests pass with. `check_uvicorn` compares the one
that is installed with this list before the service starts: another version would fail later, and
in less clear words.
"""

from __future__ import annotations

import importlib
import inspect
from importlib.metadata import version

from earmark.model.core.errors import ConfigError

SUPPORTED = ">=0.54,<0.55"  # versions of uvicorn, as in pyproject.toml
SHOWN = 5  # names in a message

# Methods that are overridden or called, with the names of their parameters (None: any).
METHODS: dict[str, dict[str, tuple[str, ...] | None]] = {
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol": {
        "__init__": ("config", "server_state", "app_state", "_loop"),
        "connection_made": ("transport",),
        "connection_lost": ("exc",),
        "data_received": ("data",),
        "on_message_begin": (),
        "on_url": ("url",),
        "on_header": ("name", "value"),
        "on_headers_complete": (),
        "on_body": ("body",),
        "on_message_complete": (),
        "on_response_complete": (),
        "send_400_response": ("msg",),
        "pause_writing": (),
        "resume_writing": (),
        "timeout_keep_alive_handler": (),
        "_start_asgi_task": ("cycle", "app"),
        "_unset_keepalive_if_required": (),
    },
    "uvicorn.server.Server": {
        "__init__": ("config",),
        "handle_exit": None,  # sse-starlette wraps it
        "on_tick": ("counter",),
        "run": ("sockets",),
    },
}
# Attributes that `__init__` sets.
ATTRIBUTES = {
    "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol": (
        *("connections", "cycle", "loop", "pipeline", "server_state", "transport"),
    ),
    "uvicorn.protocols.http.httptools_impl.RequestResponseCycle": (
        *("disconnected", "message_event", "more_body", "response_complete", "response_started"),
        "scope",
    ),
    "uvicorn.server.ServerState": ("default_headers",),
    "uvicorn.server.Server": ("should_exit",),
}


def check_uvicorn() -> None:
    """Raise ConfigError where the uvicorn that is installed lacks what is used of it."""
    if missing := missing_parts():
        more = ", …" if len(missing) > SHOWN else ""
        raise ConfigError(
            f"uvicorn: expected {SUPPORTED}, got {version('uvicorn')}, "
            f"which lacks {', '.join(missing[:SHOWN])}{more}"
        )


def missing_parts() -> list[str]:
    """Names of what is used and not there, or there with other parameters."""
    missing = []
    for path in METHODS.keys() | ATTRIBUTES.keys():
        try:
            found = _class(path)
        except (ImportError, AttributeError):
            missing.append(path)
            continue
        name = path.rpartition(".")[2]
        for method, parameters in METHODS.get(path, {}).items():
            function = getattr(found, method, None)
            if function is None or parameters not in (None, _parameters(function)):
                missing.append(f"{name}.{method}({', '.join(parameters or ())})")
        set_names = found.__init__.__code__.co_names  # type: ignore[misc]
        missing += [
            f"{name}.{attribute}"
            for attribute in ATTRIBUTES.get(path, ())
            if attribute not in set_names
        ]
    return sorted(missing)


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def _parameters(function: object) -> tuple[str, ...]:
    """The names of a method's parameters, without `self`."""
    return tuple(inspect.signature(function).parameters)[1:]  # type: ignore[arg-type]
