"""The library: sounds that were added, found again by words or by sound.

The catalogue is the truth; the vector store follows it and answers.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import EmbeddedSound, SourceFile
from earmark.index.catalogue.records import Clip
from earmark.index.errors import (
    ChangedError,
    CursorError,
    LibraryError,
    StorageError,
    UnknownClipError,
)
from earmark.index.files.managed_files import ManagedFiles
from earmark.index.files.relocation import update_upload_paths
from earmark.index.search.clip_cache import ClipCache
from earmark.index.search.query import Query, TextVectors, narrowed, parse
from earmark.index.search.ranking import Asked, Hit, Page, Sort, Wish, pages
from earmark.index.search.recall_monitor import RecallProbe
from earmark.index.stores.base import VectorStore
from earmark.index.stores.factory import catch_up, open_store
from earmark.index.types import Filter
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder, ParsedTags

log = logging.getLogger(__name__)

SNAPSHOT = "vectors.snapshot"
UPLOADS, FEEDBACK = "uploads", "feedback"  # folders of the library's own sounds


@dataclass(frozen=True)
class Found:
    """The answer to a search: hits, best first, and how the words were taken.

    `next`: the cursor of the page after; `without`: words that no hit may be tagged with.
    """

    hits: list[Hit]
    next: str
    understood: ParsedTags
    without: tuple[str, ...]
    generation: int


_ALL = Filter()


@dataclass(frozen=True)
class Search:
    """A search by words: what for, how many, among which, and after which page."""

    query: Query
    k: int = 10
    where: Filter = _ALL
    cursor: str = ""
    distinct: bool = False
    sort: Sort = "relevance"


class Library:
    """An open library and the model that made it. Safe to share between threads."""

    def __init__(self, folder: Path, catalogue: Catalogue, embedder: Embedder) -> None:
        self.folder, self.catalogue, self.embedder = folder, catalogue, embedder
        self.uploads = ManagedFiles(folder.resolve() / UPLOADS)
        self.feedback_sounds = ManagedFiles(folder.resolve() / FEEDBACK)
        update_upload_paths(catalogue, self.uploads.folder)
        self.uploads.resolve(lambda name: catalogue.has_path_ending(f"{UPLOADS}/{name}"))
        self.feedback_sounds.resolve(
            lambda name: catalogue.has_feedback_sound(f"{FEEDBACK}/{name}")
        )
        self.store: VectorStore = open_store(catalogue)
        self.clips = ClipCache(catalogue)
        self._texts = TextVectors(embedder)
        self.probe: RecallProbe | None = None  # told of the searches, where there is one
        self._seen = -1  # the catalogue's generation
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

    def rest(self) -> None:
        """Have no thread, no open connection, as a process must that is about to fork."""
        self.store.settle()
        self.catalogue.close_idle()

    def reopened(self) -> Library:
        """This library for a forked process: the same model and vectors, the rest of its own.

        Not to be closed, which would write the snapshot.
        """
        own = copy.copy(self)
        own.catalogue = Catalogue.open(self.folder)
        own.clips = ClipCache(own.catalogue)
        own._texts = TextVectors(self.embedder)
        own.probe = None
        own._refreshing = threading.Lock()
        return own

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def add(
        self,
        sounds: Sequence[EmbeddedSound],
        failed: Mapping[str, str] = MappingProxyType({}),
    ) -> list[str]:
        """Add embedded sounds in one transaction; returns their ids.

        A sound from a path that the library holds takes its place and keeps its id.
        `failed`: reasons to remember for paths that could not be added.
        """
        with self.catalogue.write() as writer:
            for path, reason in failed.items():
                writer.record_failure(path, reason)
            return [writer.put(sound.new_clip()) for sound in sounds]

    def update_metadata(self, origins: Sequence[SourceFile]) -> None:
        """Take what the origins say of files that the library holds, in one transaction."""
        with self.catalogue.write() as writer:
            for origin in origins:
                writer.update_metadata(str(origin.path), origin.metadata)

    def edit(self, clip_id: str, changes: Mapping[str, Any], generation: int | None = None) -> Clip:
        """Let fields of `Metadata` be these, empty ones too; the clip as it is then.

        `generation`: that the clip is expected to have. Raises UnknownClipError, ChangedError, and
        LibraryError for texts that are too long.
        """
        with self.catalogue.write() as writer:
            writer.edit(clip_id, changes, generation)
        return self.catalogue.clip(clip_id)

    def remove(self, clip_ids: Sequence[str], generation: int | None = None) -> None:
        """Remove clips, all or none. Uploads lose their files too; all other files stay.

        `generation`: that each is expected to have. Raises UnknownClipError, ChangedError.
        """
        clips = [self.catalogue.clip(clip_id) for clip_id in clip_ids]
        for clip in clips:
            if generation not in (None, clip.generation):
                raise ChangedError(f"id: {clip.id!r} has been changed meanwhile")
        own = [Path(clip.path).name for clip in clips if self.uploads.contains(clip.path)]
        removing = self.uploads.removing(own) if own else contextlib.nullcontext()
        with removing, self.catalogue.write() as writer:
            for clip_id in clip_ids:
                writer.remove(clip_id)

    # Reading

    @property
    def generation(self) -> int:
        """The catalogue's generation: how many writes it has seen."""
        return int(self.catalogue.meta("generation"))

    def refresh(self, *, wait: bool = False) -> None:
        """Let the vector store catch up with what anyone, any process, has written.

        `wait`: also where another thread is at it; else searches see the generation before. It is
        for who has written: that stands where the store is away, and is found when it is back.
        """
        now = self.generation
        if now != self._seen:
            self.clips.clear()
            self._seen = now
        if self.store.generation == now:
            return
        if not self._refreshing.acquire(blocking=wait):
            return
        try:
            catch_up(self.store, self.catalogue)
        except StorageError as error:
            if not wait:
                raise
            log.warning("not in the index yet: %s", error)
        finally:
            self._refreshing.release()

    def followed(self) -> VectorStore:
        """The vector store, when it has caught up."""
        self.refresh()
        return self.store

    def search(
        self,
        text: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Found:
        """Sounds for words (`index.search.query`) that pass a filter: vectors and words, fused.

        `cursor`: of the page before; `distinct`: near-duplicates stand with the best of them.
        Raises CursorError.
        """
        (found,) = self.search_many([Search(parse(text), k, where or Filter(), cursor, distinct)])
        if isinstance(found, CursorError):
            raise found
        return found

    def search_many(self, searches: Sequence[Search]) -> list[Found | CursorError]:
        """Several searches by words, which cost less together; a bad cursor fails its own."""
        texts = self._texts.get([each.query for each in searches])
        self.refresh()
        wishes = [
            Wish(
                Asked(
                    text.vector,
                    text.words,
                    narrowed(each.where, each.query),
                    each.distinct,
                    each.sort,
                    repr(each.query),
                    text.related,
                ),
                each.k,
                each.cursor,
            )
            for each, text in zip(searches, texts, strict=True)
        ]
        self._tell([each.asked for each in wishes])
        generation = self.store.generation
        return [
            own
            if isinstance(own, CursorError)
            else Found(own.hits, own.next, text.understood, each.query.without, generation)
            for each, text, own in zip(
                searches, texts, pages(self.clips, self.catalogue, self.store, wishes), strict=True
            )
        ]

    def like(
        self,
        vector: Array,
        query: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Page:
        """Sounds like a vector [D]. `query`: what it is of, for cursors. Raises CursorError."""
        self.refresh()
        asked = Asked(vector, {}, where or Filter(), distinct, query=query)
        self._tell([asked])
        (found,) = pages(self.clips, self.catalogue, self.store, [Wish(asked, k, cursor)])
        if isinstance(found, CursorError):
            raise found
        return found

    def _tell(self, asked: Sequence[Asked]) -> None:
        if self.probe is not None:
            for each in asked:
                if each.vector is not None:
                    self.probe.offer(each.vector, each.where)

    def similar(self, vector: Array, k: int = 10, where: Filter | None = None) -> list[Hit]:
        """The sounds nearest to a vector [D]."""
        return self.like(vector, "", k, where).hits

    def like_clip(
        self,
        clip_id: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
    ) -> Page:
        """Sounds like one of the library's, without that one.

        Raises UnknownClipError, CursorError.
        """
        own = self.catalogue.clip(clip_id)
        vector = self.catalogue.vector(own.row)
        if vector is None:
            raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
        where = replace(where or Filter(), but=own.row)
        return self.like(vector, f"clip {own.row}", k, where, cursor=cursor, distinct=distinct)

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
