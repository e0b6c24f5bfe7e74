"""The Milvus client: pymilvus, imported when first needed, and its errors as ours."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from earmark.index.errors import LibraryError, StorageError

if TYPE_CHECKING:
    from pymilvus import MilvusClient

TIMEOUT = (
    10  # seconds, to connect and for a response; whole numbers: pymilvus ignores others at times
)
OLDEST = (2, 4)  # the first Milvus with several vectors, some sparse, in a collection
FILE_SUFFIX = ".db"  # of milvus-lite's files


def import_pymilvus(uri: str) -> ModuleType:
    """pymilvus, and milvus-lite where `uri` is a file. Raises LibraryError where one is missing."""
    try:
        if uri.endswith(FILE_SUFFIX):
            importlib.import_module("milvus_lite")  # which pymilvus starts
        pymilvus = importlib.import_module("pymilvus")
    except ImportError as error:
        extra = "milvus-lite" if uri.endswith(FILE_SUFFIX) else "milvus"
        raise LibraryError(
            f"Milvus at {uri}: the package {error.name} is missing: pip install 'earmark[{extra}]'"
        ) from error
    # It logs a traceback of each error that it also raises, and what milvus-lite cannot do.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def connect(uri: str, token: str) -> MilvusClient:
    """A client with a connection of its own. Raises LibraryError, StorageError."""
    if "@" in uri and not uri.endswith(FILE_SUFFIX):
        host = uri.rpartition("@")[2]
        raise LibraryError(
            f"Milvus at {host}: expected a URI without a password: give 'user:password' as token"
        )
    client_class = import_pymilvus(uri).MilvusClient
    with translate_errors(uri):
        return client_class(uri, token=token, timeout=TIMEOUT, dedicated=True)


def check_version(uri: str, version: str) -> None:
    """Raise LibraryError for a Milvus that is too old; "v2.6.4", or a name without a number."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise LibraryError(f"Milvus at {uri}: expected version {oldest} or newer, got {version}")


@contextlib.contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Raise errors of Milvus as ours: LibraryError where the caller can fix the cause, else
    StorageError."""
    import grpc
    from pymilvus.exceptions import ConnectionConfigException, MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        message = " ".join(str(getattr(error, "message", None) or error).split())
        where = f"Milvus at {uri}"
        if _is_refusal(error):
            raise LibraryError(f"{where}: the token was refused") from error
        if message == "Open local milvus failed":
            raise StorageError(
                f"{where}: cannot be opened; has another process it open?"
            ) from error
        if isinstance(error, ConnectionConfigException):
            raise LibraryError(f"{where}: {message}") from error
        raise StorageError(f"{where}: {message}") from error


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a token that Milvus does not accept caused the error."""
    import grpc

    refusals = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
    seen: set[int] = set()  # pymilvus raises errors from themselves: a cycle
    while error is not None and id(error) not in seen:
        if isinstance(error, grpc.RpcError) and error.code() in refusals:
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
