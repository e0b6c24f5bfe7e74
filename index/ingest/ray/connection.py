"""Speaking with Ray: the package, the connection, made quiet, and its errors as ours."""

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
START_SECONDS = "60"  # a Ray of our own: Ray's 30 are too few where the disk is busy
ATTEMPTS = 3  # at starting it: its head has been seen to hang
OBJECT_STORE = 200 << 20  # bytes, of a Ray of our own: it holds paths, names and the model


def package() -> None:
    """Raise ConfigError where Ray is missing."""
    try:
        importlib.import_module("ray")
        importlib.import_module("ray.data")  # which needs more packages
    except ImportError as error:
        raise ConfigError(
            f"engine ray: the package {error.name} is missing: pip install 'earmark[ray]'"
        ) from error


@contextmanager
def connected(address: str | None, actors: int | None) -> Iterator[None]:
    """Inside, this process is connected to Ray: as it was before, or else to the cluster at
    `address` or RAY_ADDRESS, or else to a Ray of its own, with room for so many actors.

    Raises InputError for what is no address, EngineError where there is no Ray.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", START_SECONDS)
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {}
    if where == "local":
        own = {
            "num_cpus": actors,
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE,
        }
    elif where != "auto":
        _check_listening(where)
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died: no result
        try:
            _start(where, own)
            yield
        finally:
            ray.shutdown()


def _start(where: str, own: dict[str, Any]) -> None:
    import ray

    most = ATTEMPTS if own else 1
    for attempt in range(1, most + 1):
        try:
            with _signals_kept(deferred=bool(own)):
                ray.init(where, logging_level=logging.ERROR, log_to_driver=False, **own)
        except (OSError, RuntimeError, ValueError) as error:
            _end_half_started(error)
            if attempt == most:
                times = f", {most} times" if most > 1 else ""
                raise EngineError(f"ray at {where}: {_line(error)}{times}") from error
        else:
            break
    _quieten()


def _end_half_started(error: Exception) -> None:
    """End the processes of a Ray whose start raised the error: only that start knew of them."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            node.kill_all_processes(check_alive=False, wait=True)
            return


def _check_listening(address: str) -> None:
    """Raise what `connected` raises: Ray itself would try for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "://" in address:
        raise InputError(f"ray address: expected HOST:PORT, auto or local, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"ray at {address}: cannot be reached ({error})") from error


@contextmanager
def _signals_kept(*, deferred: bool) -> Iterator[None]:
    """What SIGINT and SIGTERM did before, they do afterwards: Ray lets SIGTERM end the process.

    `deferred`: those that come meanwhile act then. An interrupt amid the forks of Ray's start
    would be lost, and a lock of Python's logging with it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    came: list[int] = []
    try:
        for number in before if deferred else ():
            signal.signal(number, lambda got, _: came.append(got))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for got in came:
            signal.raise_signal(got)


def _quieten() -> None:
    """Leave Ray Data's messages to its log file: it prints a traceback of what it raises."""
    import ray.data

    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False  # we show our own


def in_our_words(answers: Iterator[Any]) -> Generator[Any]:
    """The same, but what Ray cannot do is an EngineError. Closing it closes `answers`."""
    import ray
    from ray.data.exceptions import ExecutionTimeoutError

    try:
        yield from answers
    except (ray.exceptions.RayError, ExecutionTimeoutError) as error:
        raise EngineError(
            f"ray: {_line(error)}; what was embedded is kept: run the same command again"
        ) from error


def _line(error: Exception) -> str:
    """The last line of a message that may be a traceback: the error itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
