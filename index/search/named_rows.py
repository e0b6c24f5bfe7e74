"""Conditions of a filter that name other things of the library become rows here, for all stores.

A kind of name is a field of `Filter`, a tuple of names of which one must hold, and a `NamedRows` in
the `Library` that tells their rows. Rows are kept as long as their version stands: a filter by
100,000 clips costs a search no more than its mask.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from functools import reduce
from typing import Protocol

import numpy as np
from cachetools import LRUCache

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.classifiers import classifier, present
from earmark.index.catalogue.collections import member_rows, version
from earmark.index.search.kept_search import KeptSearch
from earmark.index.stores.base import VectorStore
from earmark.index.types import Filter, RowSet
from earmark.model.core.arrays import Array, Rows
from earmark.model.taught import LinearClassifier

MAX_RANKED = 16_384  # clips, by a store that holds no vectors in this process
CACHED = 64  # sets of names: each has a mask of the index
CACHED_ROWS = 4_000_000  # of all these sets together: 32 MB


class NamedRows(Protocol):
    """The rows that names of one kind stand for."""

    def version(self, name: str) -> Hashable:
        """What the rows depend on. Raises LibraryError for an unknown name."""

    def rows(self, name: str) -> Rows:
        """The rows, in any order. Raises LibraryError for an unknown name."""


class NamedFilters:
    """Resolves the names in filters. `kinds`: by fields of `Filter`. Thread-safe."""

    def __init__(self, kinds: Mapping[str, NamedRows]) -> None:
        self._kinds = kinds
        self._cache: LRUCache[Hashable, tuple[Hashable, RowSet]] = LRUCache(CACHED_ROWS, _weight)
        self._lock = threading.Lock()
        self._finding = threading.RLock()  # a kept search may name others

    def resolve(self, where: Filter) -> Filter:
        """The filter with the rows of its names as `members`. Raises LibraryError."""
        names = tuple((kind, found) for kind in self._kinds if (found := getattr(where, kind)))
        if not names:
            return where
        members = self._members(names)
        if where.members is not None:
            members = RowSet(np.intersect1d(members.rows, where.members.rows, assume_unique=True))
        return replace(where, members=members)

    def rows(self, kind: str, name: str) -> Rows:
        """The rows of one name, in their own order. Raises LibraryError."""
        return self._kinds[kind].rows(name)

    def _members(self, names: tuple[tuple[str, tuple[str, ...]], ...]) -> RowSet:
        """The clips that have one of the names of each kind."""
        versions = tuple(
            self._kinds[kind].version(name) for kind, listed in names for name in listed
        )
        if (kept := self._cached(names, versions)) is not None:
            return kept
        with self._finding:  # once, however many ask for it
            if (kept := self._cached(names, versions)) is not None:
                return kept
            parts = [
                np.unique(np.concatenate([self._kinds[kind].rows(name) for name in listed]))
                for kind, listed in names
            ]
            members = RowSet(reduce(np.intersect1d, parts))
            with self._lock:
                self._cache[names] = versions, members
            return members

    def _cached(self, names: Hashable, versions: Hashable) -> RowSet | None:
        with self._lock:
            kept = self._cache.get(names)
        return kept[1] if kept is not None and kept[0] == versions else None


def _weight(kept: tuple[Hashable, RowSet]) -> int:
    """What a set takes of the cache: its rows, or a share if it has few."""
    return min(max(len(kept[1].rows), CACHED_ROWS // CACHED), CACHED_ROWS)


class CollectionRows:
    """The clips of collections. `generation`: tells the store's; `find`: the rows that a kept
    search finds now."""

    def __init__(
        self,
        catalogue: Catalogue,
        generation: Callable[[], int],
        find: Callable[[KeptSearch], Rows],
    ) -> None:
        self._catalogue, self._generation, self._find = catalogue, generation, find

    def version(self, name: str) -> Hashable:
        """See NamedRows. Raises UnknownCollectionError."""
        number, generation, follows = version(self._catalogue, name)
        return number, generation, None if follows is None else self._generation()

    def rows(self, name: str) -> Rows:
        """See NamedRows; of a kept search best first. Raises UnknownCollectionError."""
        _, _, follows = version(self._catalogue, name)
        if follows is None:
            return member_rows(self._catalogue, [name])
        kept = KeptSearch.from_json(follows)
        if ids := kept.where.collections:
            # Those that hold clips themselves: kept searches do not follow each other.
            members = RowSet(member_rows(self._catalogue, ids))
            kept = replace(kept, where=replace(kept.where, collections=(), members=members))
        if ids := kept.where.classifiers:
            # Those that have been removed since find nothing, as collections do.
            if not (those := present(self._catalogue, ids)):
                return np.zeros(0, np.int64)
            kept = replace(kept, where=replace(kept.where, classifiers=those))
        return self._find(kept)


def ranked(
    store: VectorStore, fitted: LinearClassifier, where: Filter | None = None
) -> tuple[Rows, Array]:
    """The rows of all clips that pass a filter and their logits by a classifier, best first; of a
    long clip that of its best moment. Of a store that holds no vectors here the first 16,384."""
    count = max(1, len(store))
    found = store.search_exact(fitted.direction, count, where)
    if found is None:
        found = store.search(fitted.direction, min(count, MAX_RANKED), where)
    rows, cosines = found
    return rows, np.asarray(fitted.scale * cosines + fitted.bias, np.float32)


class ClassifierRows:
    """The clips that classifiers say are their sound. `store`: gives the current one."""

    def __init__(self, catalogue: Catalogue, store: Callable[[], VectorStore]) -> None:
        self._catalogue, self._store = catalogue, store

    def version(self, name: str) -> Hashable:
        """See NamedRows. Raises UnknownClassifierError."""
        found = classifier(self._catalogue, name)
        return found.number, found.version, self._store().generation

    def rows(self, name: str) -> Rows:
        """See NamedRows; best first, none before anything is fitted. Raises
        UnknownClassifierError."""
        fitted = classifier(self._catalogue, name).fitted
        if fitted is None:
            return np.zeros(0, np.int64)
        rows, logits = ranked(self._store(), fitted)
        return rows[logits >= 0]
