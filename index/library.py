"""The library: sounds that were added, found again by words or by sound.

The catalogue is the truth; the vector store follows it and answers.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from index.catalogue import Catalogue
from index.errors import LibraryError
from index.filters import Filter
from index.query import Query, embed, parse
from index.ranking import Asked, Hit, page
from index.records import Array
from index.sounds import Origin, Sound
from index.stems import stems
from index.stores import catch_up, open_store
from index.vectors import VectorStore
from model.cleanup import clean_tags
from model.embedder import Embedder, Understood

log = logging.getLogger(__name__)

SNAPSHOT = "vectors.snapshot"


@dataclass(frozen=True)
class Found:
    """The answer to a search: hits, best first, and how the words were taken.

    `next`: the cursor of the page after; `without`: words that no hit may be tagged with.
    """

    hits: list[Hit]
    next: str
    understood: Understood
    without: tuple[str, ...]
    generation: int


class Library:
    """An open library and the model that made it. Safe to share between threads."""

    def __init__(self, folder: Path, catalogue: Catalogue, embedder: Embedder) -> None:
        self.folder, self.catalogue, self.embedder = folder, catalogue, embedder
        self.store: VectorStore = open_store(catalogue)
        self._refreshing = threading.Lock()
        self.store.load(folder / SNAPSHOT)
        if self.store.generation > self.generation:
            # The snapshot is of a catalogue that was since replaced by an older copy: it must
            # not be trusted later either, when that copy has grown past it.
            with contextlib.suppress(OSError):  # a folder that may only be read
                (folder / SNAPSHOT).unlink(missing_ok=True)
            self.store.close()
            self.store = open_store(catalogue)
        self._saved = self.store.generation
        self.refresh()

    @classmethod
    def open(cls, folder: Path, embedder: Embedder, *, create: bool = False) -> Library:
        """The library in `folder`, made when `create` and there is none.

        Raises LibraryError for no library, a newer version's, or one made by another model.
        """
        catalogue = (
            Catalogue.open_or_create(folder, embedder.fingerprint, embedder.dim)
            if create
            else Catalogue.open(folder)
        )
        made_by = catalogue.meta("fingerprint")
        if made_by != embedder.fingerprint:
            catalogue.close()
            raise LibraryError(
                f"library {folder}: made by the model {made_by}, but this one is "
                f"{embedder.fingerprint}; open it with its own model, or embed its sounds "
                f"again: earmark add {folder} --library NEW_FOLDER"
            )
        try:
            return cls(folder, catalogue, embedder)
        except BaseException:
            catalogue.close()
            raise

    def close(self) -> None:
        """Save a snapshot where it is due, and close the catalogue."""
        self.store.settle()
        if self.store.generation != self._saved:
            with contextlib.suppress(OSError):  # derived: a read-only or full disk costs time
                self.store.save(self.folder / SNAPSHOT)
        self.store.close()
        self.catalogue.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def add(
        self,
        sounds: Sequence[Sound],
        failed: Mapping[str, str] = MappingProxyType({}),
    ) -> list[str]:
        """Add embedded sounds in one transaction; returns their ids.

        A sound from a path that the library holds takes its place and keeps its id.
        `failed`: reasons to remember for paths that could not be added.
        """
        with self.catalogue.write() as writer:
            for path, reason in failed.items():
                writer.fail(path, reason)
            return [writer.put(sound.clip()) for sound in sounds]

    def describe(self, origins: Sequence[Origin]) -> None:
        """Take what the origins say of files that the library holds, in one transaction."""
        with self.catalogue.write() as writer:
            for origin in origins:
                writer.describe(str(origin.path), origin.said)

    def remove(self, clip_ids: Sequence[str]) -> None:
        """Remove clips, all or none; their files stay. Raises UnknownClipError."""
        with self.catalogue.write() as writer:
            for clip_id in clip_ids:
                writer.remove(clip_id)

    # Reading

    @property
    def generation(self) -> int:
        """The catalogue's generation: how many writes it has seen."""
        return int(self.catalogue.meta("generation"))

    def refresh(self) -> None:
        """Let the vector store catch up with what anyone, any process, has written."""
        if self.store.generation == self.generation:
            return
        if not self._refreshing.acquire(blocking=False):
            return  # another thread is at it: until then, searches see the generation before
        try:
            catch_up(self.store, self.catalogue)
        finally:
            self._refreshing.release()

    def search(
        self,
        text: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Found:
        """Sounds for words (`index.query`) that pass a filter: vectors and words, fused.

        `cursor`: of the page before; `distinct`: near-duplicates stand with the best of them.
        Raises CursorError.
        """
        query = parse(text)
        understood = self.embedder.understand(query.text)
        vector = embed(self.embedder, query, understood)
        self.refresh()
        passing = _without(query, where or Filter())
        asked = Asked(vector, stems(query.text), passing, distinct)
        found = page(self.catalogue, self.store, asked, k, cursor)
        return Found(found.hits, found.next, understood, query.without, self.store.generation)

    def similar(
        self, vector: Array, k: int = 10, where: Filter | None = None, *, without: str | None = None
    ) -> list[Hit]:
        """Sounds like a vector [D]; `without` leaves out the clip of that id."""
        self.refresh()
        asked = Asked(vector, {}, where or Filter())
        hits = page(self.catalogue, self.store, asked, k + (without is not None)).hits
        return [hit for hit in hits if hit.clip.id != without][:k]

    def info(self) -> dict[str, Any]:
        """What `earmark info` tells."""
        self.refresh()
        return {
            "library": str(self.folder),
            "clips": self.catalogue.count(),
            **self.catalogue.totals(),
            "generation": self.generation,
            "index": self.store.kind(),
            "indexed": len(self.store),
            "index_megabytes": self.store.nbytes() / 1e6,
            "model": self.embedder.config.name,
            "fingerprint": self.embedder.fingerprint,
            "dim": self.embedder.dim,
            "failures": self.catalogue.failures(),
        }


def _without(query: Query, where: Filter) -> Filter:
    """The filter, and no clip tagged with what the query does not want."""
    if not query.without:
        return where
    unwanted = [*(word.lower() for word in query.without), *clean_tags(query.without)]
    return replace(where, no_tags=(*where.no_tags, *dict.fromkeys(unwanted)))
