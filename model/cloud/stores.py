"""Stores, as fsspec reads them: made when they are first asked, one for each place.

A failure is an OSError whose `strerror` is in our own words: a provider's may hold addresses of its
machines, or more. A store that has not answered in time is left alone for a while, so that those
who ask for its sounds hold up nobody else. Times in seconds.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from earmark.model.cloud.addresses import REFUSED, scheme_of, store_of
from earmark.model.core.errors import ConfigError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ANSWER_SECONDS = 10.0  # that a store may take to tell of a file, or to give a piece of it
REST_SECONDS = 10.0  # that it is left alone after that
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 10, 2  # of S3's client: for each of its requests

_EXTRAS = {"s3": "'earmark[s3]'"}  # → what to install; of others, beside earmark[cloud], fsspec's
_QUIET = ("botocore", "aiobotocore", "boto3", "s3fs", "fsspec", "gcsfs", "adlfs", "azure")
_TIMES = ("LastModified", "last_modified", "updated", "mtime", "modified")

_resting: dict[str, float] = {}  # store → until when it is not asked
_lock = threading.Lock()


def filesystem(address: str) -> AbstractFileSystem:
    """What reads the store of an address. Raises ConfigError where its package is missing."""
    return _filesystem(store_of(address), os.getpid())


@lru_cache(maxsize=64)
def _filesystem(store: str, _process: int) -> AbstractFileSystem:
    """One for each process: a fork's threads are not there."""
    scheme = scheme_of(store)
    if scheme in REFUSED:  # of a library that somebody else has made
        raise ConfigError(f"address: expected one of a store, such as s3://, got {scheme}://")
    try:
        import fsspec
        import fsspec.config
    except ImportError as error:
        raise ConfigError(_missing(scheme, "'earmark[cloud]'")) from error
    for name in _QUIET:  # at debug they log what they send, with its signature
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        raise ConfigError(
            f"address: expected a store that fsspec knows, such as s3://, got {scheme[:40]}://"
        ) from error
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or "fsspec"  # that could not be imported
        others = f"'earmark[cloud]' {package}"
        raise ConfigError(_missing(scheme, _EXTRAS.get(scheme, others))) from error
    options: dict[str, Any] = kind._get_kwargs_from_urls(store)
    if scheme == "s3" and "config_kwargs" not in fsspec.config.conf.get("s3", {}):
        options["config_kwargs"] = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"total_max_attempts": ATTEMPTS, "mode": "standard"},
        }
    with translated_errors():
        made: AbstractFileSystem = kind(
            **options, use_listings_cache=False, skip_instance_cache=True
        )
    if scheme == "s3":
        made.retries = ATTEMPTS
    return made


def _missing(scheme: str, packages: str) -> str:
    return f"{scheme}://: expected the package that reads it: pip install {packages}"


def key_of(address: str) -> str:
    """What the store itself calls the file of an address."""
    # What follows a ? is no query: fsspec would cut it off for file servers.
    return str(filesystem(address)._strip_protocol(address.replace("?", "\0"))).replace("\0", "?")


def ask(address: str, method: str, *arguments: object, **options: object) -> Any:  # noqa: ANN401
    """Ask the store of an address, in ANSWER_SECONDS where that can be bounded; what a method of
    fsspec answers on its key. Raises OSError, ConfigError."""
    store = store_of(address)
    with _lock:
        if time.monotonic() < _resting.get(store, 0.0):
            raise _silent()
    made = filesystem(address)
    bound = {"timeout": ANSWER_SECONDS} if made.async_impl else {}
    try:
        with translated_errors():
            return getattr(made, method)(key_of(address), *arguments, **options, **bound)
    except TimeoutError:
        with _lock:
            _resting[store] = time.monotonic() + REST_SECONDS
        raise


@contextmanager
def translated_errors() -> Iterator[None]:
    """Whatever a store's client raises → OSError, in our own words."""
    try:
        yield
    except ConfigError:
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
    except PermissionError as error:
        raise PermissionError(errno.EACCES, "the store does not let it be read") from error
    except Exception as error:
        kind = type(error).__name__
        if isinstance(error, TimeoutError) or "Timeout" in kind:
            raise _silent() from error
        if "Credential" in kind or "Token" in kind or "Auth" in kind:
            raise PermissionError(errno.EACCES, "no credentials for the store") from error
        if isinstance(error, OSError) and error.errno == errno.EBUSY:  # other bytes at the address
            raise OSError(errno.ESTALE, "changed while it was read") from error
        raise OSError(errno.EIO, f"the store's client fails with {kind}") from error


def _silent() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "the store does not answer")


def state_of(info: Mapping[str, Any]) -> os.stat_result:
    """What fsspec tells of a file, as the state of a regular one.

    Its time has whole seconds, as stores have them. In the place of their fractions stands a
    checksum of its ETag, if it has one: two objects that are made within a second differ.
    """
    size = int(info.get("size") or 0)
    seconds = next((_seconds(info[name]) for name in _TIMES if info.get(name)), 0)
    tag = str(info.get("ETag") or info.get("etag") or "")
    fraction = crc32(tag.encode()) % 10**9 if tag else 0
    values = (0o100444, 0, 0, 1, 0, 0, size, seconds, seconds, seconds)
    exact = {"st_mtime_ns": seconds * 10**9 + fraction, "st_mtime": float(seconds)}
    return os.stat_result(values, exact)


def _seconds(when: object) -> int:
    """A time as seconds since 1970; 0 where it cannot be known."""
    try:
        if isinstance(when, str):
            when = datetime.fromisoformat(when)
        if isinstance(when, datetime):
            aware = when if when.tzinfo else when.replace(tzinfo=UTC)
            return max(int(aware.timestamp()), 0)
        return max(int(when), 0) if isinstance(when, int | float) else 0
    except (ValueError, OverflowError):
        return 0
