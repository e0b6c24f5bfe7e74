"""Which vector store follows a catalogue: FAISS in this process, or Milvus past one machine.

The catalogue remembers it (`meta("store")`): "faiss", or the address of a Milvus.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.stores.base import VectorStore
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.stores.milvus.store import MilvusStore
from earmark.model.core.errors import ConfigError

FAISS = "faiss"
LOCK = ".milvus.lock"  # in the library's folder: whoever holds it writes to Milvus
WAIT_SECONDS = 2.0  # for others who write there
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
    """What to show a Milvus: "user:password" or a key, from the environment, or from the file
    that it names, without one newline at its end; empty where neither is set.

    Raises ConfigError for both, and for a file that cannot be read or holds no token.
    """
    given, name = environment.get(TOKEN, ""), environment.get(TOKEN_FILE, "")
    if not name:
        return given
    if given:
        raise ConfigError(f"{TOKEN} and {TOKEN_FILE}: expected one of them, got both")
    try:
        held = Path(name).read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ConfigError(f"{TOKEN_FILE}: {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected text in UTF-8") from error
    if not held:
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected a token, got an empty file")
    if "\n" in held:
        lines = held.count("\n") + 1
        raise ConfigError(f"{TOKEN_FILE}: {name}: expected one line, got {lines}")
    return held


def catch_up(store: VectorStore, catalogue: Catalogue) -> None:
    """Let a store take in what was written since its generation, as much at once as it takes.

    Processes that share a Milvus take turns. While another one is writing there for a while, this
    one does without: what is written is found through it all the same.
    """
    now = int(catalogue.meta("generation"))
    while store.generation < now:
        if not isinstance(store, MilvusStore):
            store.apply(catalogue.changes(store.generation, store.most_at_once))
            continue
        with _turn(catalogue.file.with_name(LOCK)) as ours:
            if not ours:
                return
            _take_over(store, catalogue)
            store.apply(catalogue.changes(store.generation, store.most_at_once))


def _take_over(store: MilvusStore, catalogue: Catalogue) -> None:
    """What another process has built meanwhile need not be built again."""
    ahead = store.generation == 0 and store.load(catalogue.file)
    if ahead and store.generation > int(catalogue.meta("generation")):
        store.drop()  # it is of a catalogue that was since replaced by an older copy


@contextmanager
def _turn(lock: Path) -> Iterator[bool]:
    """Whether it is this process's turn to write, within a while."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield True  # a library that may only be read: nobody writes to it
        return
    try:
        yield _locked(descriptor)
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
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
