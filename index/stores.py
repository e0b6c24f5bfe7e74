"""Which vector store follows a catalogue: FAISS in this process, or Milvus past one machine.

The catalogue remembers it (`meta("store")`): "faiss", or the address of a Milvus.
"""

from __future__ import annotations

import os

from index.catalogue import Catalogue
from index.faiss_store import FaissStore
from index.milvus_store import MilvusStore
from index.vectors import VectorStore

FAISS = "faiss"
TOKEN = "EARMARK_MILVUS_TOKEN"  # noqa: S105 (the variable's name); "user:password" or a key


def open_store(catalogue: Catalogue, where: str = "") -> VectorStore:
    """The store of a catalogue, or the one at `where` for it; empty until it has loaded.

    Raises LibraryError, StorageError where a Milvus cannot be reached.
    """
    where = where or catalogue.meta("store")
    library, dim = catalogue.meta("library"), int(catalogue.meta("dim"))
    if where == FAISS:
        return FaissStore(library, dim)
    return MilvusStore(library, dim, where, os.environ.get(TOKEN, ""))


def catch_up(store: VectorStore, catalogue: Catalogue) -> None:
    """Let a store take in what was written since its generation, as much at once as it takes."""
    now = int(catalogue.meta("generation"))
    while store.generation < now:
        store.apply(catalogue.changes(store.generation, store.most_at_once))
