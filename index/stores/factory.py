"""Opens the vector store of a catalogue, and lets it catch up: FAISS in this process, or Milvus.

The catalogue names its store in `meta("store")`: "faiss", or the address of a Milvus.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Changes
from earmark.index.stores.base import VectorStore
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.stores.milvus.store import MilvusStore
from earmark.model.core.collector import no_collection
from earmark.model.core.errors import ConfigError

FAISS = "faiss"
LOCK = ".milvus.lock"  # in the library's folder: the process that holds it writes to Milvus
WAIT_SECONDS = 2.0  # for other processes that write there
TOKEN = "EARMARK_MILVUS_TOKEN"  # noqa: S105 (the variable's name); "user:password" or a key
TOKEN_FILE = "EARMARK_MILVUS_TOKEN_FILE"  # noqa: S105 (the same, of a file that holds it)


def open_store(catalogue: Catalogue, where: str = "") -> VectorStore:
    """The store of a catalogue, or the one at `where` for it; empty until it has loaded.

    Raises LibraryError, ConfigError, StorageError where a Milvus cannot be reached.
    """
    where = where or catalogue.meta("store")
    library, dim = catalogue.meta("library"), int(catalogue.meta("dim"))
    if where == FAISS:
        return FaissStore(library, dim)
    return MilvusStore(library, dim, where, token(os.environ))


def token(environment: Mapping[str, str]) -> str:
    """The token for a Milvus, "user:password" or a key: from the environment, or from the file that
    it names, without one newline at its end; empty where neither is set.

    Raises ConfigError for both, and for a file that cannot be read or holds no token.
    """
    value, name = environment.get(TOKEN, ""), environment.get(TOKEN_FILE, "")
    if not name:
        return value
    if value:
        raise ConfigError(f"{TOKEN} and {TOKEN_FILE}: expected one of them, got both")
    try:
        value = Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ConfigError(f"{TOKEN_FILE}: {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected text in UTF-8") from error
    if not value:
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected a token, got an empty file")
    if "\n" in value:
        lines = value.count("\n") + 1
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected one line, got {lines}")
    return value


def catch_up(
    store: VectorStore, catalogue: Catalogue, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Apply what was written since the store's generation, as much at once as it takes, until
    `is_over`.

    Processes that share a store take turns. Where another one writes for longer than a while, this
    one returns: its searches find what the other has written.
    """
    now = int(catalogue.meta("generation"))
    while store.generation < now and not is_over():
        if not store.shared:
            with no_collection():
                store.apply(_changes(store, catalogue))
            continue
        with _lock(catalogue.file.with_name(LOCK)) as locked:
            if not locked:
                return
            _load_shared(store, catalogue)
            store.apply(_changes(store, catalogue))


def _changes(store: VectorStore, catalogue: Catalogue) -> Changes:
    return catalogue.changes(store.generation, store.max_changes, edits_apart=store.takes_edits)


def _load_shared(store: VectorStore, catalogue: Catalogue) -> None:
    """Load what another process has built meanwhile, instead of building it again."""
    loaded = store.generation == 0 and store.load(catalogue.file)
    if loaded and store.generation > int(catalogue.meta("generation")):
        store.drop()  # an older copy has replaced the catalogue since


@contextmanager
def _lock(file: Path) -> Iterator[bool]:
    """Hold a lock file; False where another process holds it for longer than a while."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield True  # a read-only library: nobody writes to it
        return
    try:
        yield _acquire(descriptor)
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> bool:
    until = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        except OSError:
            return True  # a disk without locks
        else:
            return True
