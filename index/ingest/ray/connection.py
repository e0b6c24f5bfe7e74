"""Connecting to Ray: the package, the connection, its log output and its errors."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from earmark.index.errors import EngineError
from earmark.model.core.errors import ConfigError, InputError

CONNECT_SECONDS = 10.0
START_SECONDS = "60"  # for a local Ray: Ray's 30 are too few on a busy disk
MAX_ATTEMPTS = 3  # at starting a local Ray: its head process sometimes hangs
OBJECT_STORE = 200 << 20  # bytes, of a local Ray: it holds paths, names and the model


def require_ray() -> None:
    """Raise ConfigError if Ray is not installed."""
    try:
        importlib.import_module("ray")
        importlib.import_module("ray.data")  # needs more packages
    except ImportError as error:
        raise ConfigError(
            f"engine ray: the package {error.name} is missing: pip install 'earmark[ray]'"
        ) from error


@contextmanager
def connected(address: str | None, actors: int | None) -> Iterator[None]:
    """A context in which this process is connected to Ray.

    An existing connection is used. Otherwise it connects to the cluster at `address` or
    RAY_ADDRESS, or else starts a local Ray with as many CPUs as `actors`.
    Raises InputError for an invalid address, EngineError if no Ray can be reached or started.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports to its makers
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", START_SECONDS)
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    local_options: dict[str, Any] = {}
    if where == "local":
        local_options = {
            "num_cpus": actors,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
        }
    elif where != "auto":
        _check_listening(where)
    with redirect_stdout(sys.stderr):  # Ray's messages are no output of the command
        try:
            _start(where, local_options)
            yield
        finally:
            ray.shutdown()


def _start(where: str, local_options: dict[str, Any]) -> None:
    import ray

    attempts = MAX_ATTEMPTS if local_options else 1
    for attempt in range(1, attempts + 1):
        try:
            with _preserve_signal_handlers(deferred=bool(local_options)):
                ray.init(where, logging_level=logging.ERROR, log_to_driver=False, **local_options)
        except (OSError, RuntimeError, ValueError) as error:
            _kill_partial_start(error)
            if attempt == attempts:
                times = f", {attempts} times" if attempts > 1 else ""
                raise EngineError(f"ray at {where}: {_last_line(error)}{times}") from error
        else:
            break
    _silence_ray_data()


def _kill_partial_start(error: Exception) -> None:
    """Kill the processes of the Ray start that raised the error: only its frames know them."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            node.kill_all_processes(check_alive=False, wait=True)
            return


def _check_listening(address: str) -> None:
    """Check the address as `connected` documents: Ray itself retries for 15 minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        raise InputError(f"ray address: expected HOST:PORT, auto or local, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"ray at {address}: cannot be reached ({error})") from error


@contextmanager
def _preserve_signal_handlers(*, deferred: bool) -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM afterwards: Ray replaces that of SIGTERM.

    `deferred`: signals act only afterwards. An interrupt during the forks of Ray's start would be
    lost, and a lock of Python's logging would stay locked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    pending: list[int] = []
    try:
        for number in before if deferred else ():
            signal.signal(number, lambda signum, _: pending.append(signum))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in pending:
            signal.raise_signal(received)


def _silence_ray_data() -> None:
    """Send Ray Data's messages only to its log file: it prints tracebacks of its errors."""
    import ray.data

    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False  # the command shows its own


def translate_errors(results: Iterator[Any]) -> Generator[Any]:
    """The same results, with Ray's errors raised as EngineError."""
    import ray
    from ray.data.exceptions import ExecutionTimeoutError

    try:
        yield from results
    except (ray.exceptions.RayError, ExecutionTimeoutError) as error:
        raise EngineError(
            f"ray: {_last_line(error)}; what was embedded is kept: run the same command again"
        ) from error


def _last_line(error: Exception) -> str:
    """The last line of the message, which is the error itself even of a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
