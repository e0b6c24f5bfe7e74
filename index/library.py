"""The library: sounds, searched by words or by sound.

The catalogue is the truth; the vector store is derived from it, follows it, and answers searches.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.classifiers import Classifier
from earmark.index.catalogue.embedded_sound import EmbeddedSound
from earmark.index.catalogue.records import Clip, Move, Origin
from earmark.index.errors import (
    ChangedError,
    LibraryError,
    NotTaughtError,
    StorageError,
    UnknownClipError,
)
from earmark.index.files.managed_files import ManagedFiles
from earmark.index.files.missing import find_missing, summary_of
from earmark.index.files.paths import real_folder
from earmark.index.files.relocation import update_upload_paths
from earmark.index.search.clip_cache import ClipCache
from earmark.index.search.confidence import Judge
from earmark.index.search.named_rows import ClassifierRows, CollectionRows, NamedFilters
from earmark.index.search.query import QueryEncoder, parse
from earmark.index.search.ranking import Ranker
from earmark.index.search.recall_monitor import RecallMonitor
from earmark.index.stores.base import StoreColumns, VectorStore
from earmark.index.stores.catalogue_columns import CatalogueColumns
from earmark.index.stores.factory import catch_up, open_store
from earmark.index.stores.outdated import with_rows
from earmark.index.types import MOMENTS, Filter, Page, SearchRequest, Sort
from earmark.model.core.arrays import Array, Rows
from earmark.model.core.switching import frequent_switches
from earmark.model.embedder import Embedder
from earmark.model.relevance import RelevanceCurve

log = logging.getLogger(__name__)

SNAPSHOT = "vectors.snapshot"
REBUILD_AT_ONCE = 50_000  # vectors, of which an index is built in a moment
MAX_FOUND = 2_000  # hits of a search by words: as deep as its pages reach
UPLOADS, FEEDBACK = "uploads", "feedback"  # folders of sounds in the library's folder


class Library:
    """An open library and the model that embedded its sounds. Thread-safe."""

    def __init__(self, folder: Path, catalogue: Catalogue, embedder: Embedder) -> None:
        self.folder, self.catalogue, self.embedder = folder, catalogue, embedder
        self.uploads = ManagedFiles(real_folder(folder / UPLOADS))
        self.feedback_sounds = ManagedFiles(real_folder(folder) / FEEDBACK)
        update_upload_paths(catalogue, self.uploads.folder)
        self.uploads.resolve(
            lambda name: catalogue.has_path_ending(f"{self.uploads.folder.name}/{name}")
        )
        self.feedback_sounds.resolve(
            lambda name: catalogue.has_feedback_sound(f"{FEEDBACK}/{name}")
        )
        self.store: VectorStore = open_store(catalogue)
        self.clips = ClipCache(catalogue)
        self._encoder = QueryEncoder(embedder)
        self._judge = Judge.of(embedder)
        self._names = self._open_names()
        self._columns = CatalogueColumns(catalogue)
        self.recall_monitor: RecallMonitor | None = None  # samples searches
        self._cached_generation = -1  # of the clips in the cache
        self._refreshing = threading.Lock()
        self._replaced: VectorStore | None = None  # until the library is closed
        self.store.load(folder / SNAPSHOT, outdated=True)
        if self.store.generation > self.generation:
            # An older copy has replaced the catalogue since the snapshot: the snapshot must not be
            # trusted later either, when that copy has grown past it.
            with contextlib.suppress(OSError):  # a read-only folder
                (folder / SNAPSHOT).unlink(missing_ok=True)
            self.store.close()
            self.store = open_store(catalogue)
        self._saved = self.store.generation
        self._closed = False
        catch_up(self.store, catalogue)
        if self.store.outdated:
            if not self.store.shared and catalogue.vector_count() <= REBUILD_AT_ONCE:
                self.rebuild_store()
            else:
                log.warning("library %s: its index is of an older version, which may not find "
                            "moments in long sounds and is slow with some filters: earmark serve "
                            "and earmark add build it anew", folder)  # fmt: skip

    @classmethod
    def open(cls, folder: Path, embedder: Embedder, *, create: bool = False) -> Library:
        """Open the library in `folder`; with `create`, create it where there is none.

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
        """Save a snapshot where the store has changed, and close store and catalogue."""
        with self._refreshing:
            self._closed = True
        self._save_store()
        self.store.close()
        if self._replaced is not None:
            self._replaced.close()
        self.catalogue.close()

    def _save_store(self) -> None:
        self.store.wait_until_idle()
        if self.store.generation != self._saved:
            try:
                self.store.save(self.folder / SNAPSHOT)
                self._saved = self.store.generation
            except OSError as error:  # derived: a read-only or full disk costs time
                log.warning("library %s: its index was not saved: %s", self.folder, error.strerror)

    def rebuild_store(self) -> bool:
        """Build the store anew in place of an outdated one, which is searched and written
        meanwhile. Returns whether it did: not where none is outdated, and not once it is closed.

        Raises StorageError.
        """
        if not self.store.outdated:
            return False
        new = open_store(self.catalogue)
        while not self._closed:
            catch_up(new, self.catalogue, lambda: self._closed)
            new.wait_until_idle()
            with self._refreshing:
                # Another process may be writing to a shared one, and a steady writer moves the
                # catalogue on; where an older one has been put in place, the store is ahead.
                needed = min(self.store.generation, self.generation)
                if new.generation >= needed and not self._closed:
                    if self.store.shared:  # others may be using its connection
                        self._replaced = self.store
                    self.store = new
                    break
        else:
            new.close()
            return False
        self._saved = -1
        self._save_store()
        log.info("library %s: its index has been built anew", self.folder)
        return True

    def reload_store(self) -> None:
        """Load the snapshot that another process has built anew, in a process that is to fork.

        Where that one could not save it, it is built here.
        """
        self.store = open_store(self.catalogue)
        self.store.load(self.folder / SNAPSHOT)
        catch_up(self.store, self.catalogue)
        self.prepare_fork()

    def _open_names(self) -> NamedFilters:
        """What names in filters stand for."""
        return NamedFilters(
            {
                "collections": CollectionRows(
                    self.catalogue,
                    lambda: self.store.generation,
                    lambda kept: self.found(kept.words, kept.where),
                ),
                "classifiers": ClassifierRows(self.catalogue, lambda: self.store),
            }
        )

    def prepare_fork(self) -> None:
        """End threads and close connections, which a forked process cannot use."""
        self.store.wait_until_idle()
        self.catalogue.close_idle()

    def after_fork(self) -> Library:
        """This library for a forked process: the same model and vectors, and its own catalogue,
        caches and locks.

        Do not close it: that would write the snapshot.
        """
        library = copy.copy(self)
        library.catalogue = Catalogue.open(self.folder)
        library.clips = ClipCache(library.catalogue)
        library._columns = CatalogueColumns(library.catalogue)
        library._encoder = QueryEncoder(self.embedder)
        library._names = library._open_names()
        library.recall_monitor = None
        library._refreshing = threading.Lock()
        return library

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Writing

    def add(
        self,
        sounds: Sequence[EmbeddedSound],
        failed: Mapping[str, str] = MappingProxyType({}),
        moves: Sequence[Move] = (),
    ) -> list[str]:
        """Add embedded sounds in one transaction; returns their ids.

        A sound from a path that the library holds already replaces that clip and keeps its id.
        `failed`: paths that could not be added, and the reasons to record. `moves`: clips that
        get the paths of some of the sounds first.
        """
        with self.catalogue.write() as writer:
            for move in moves:
                writer.move(move)
            for path, reason in failed.items():
                writer.record_failure(path, reason)
            return [writer.put(sound.new_clip()) for sound in sounds]

    def edit(
        self,
        clip_id: str,
        changes: Mapping[str, Any],
        generation: int | None = None,
        by: str = "",
    ) -> Clip:
        """Set these fields of a clip's `Metadata`; returns the changed clip.

        `generation`: the clip's that the caller has read; `by`: the name of a key. Raises
        UnknownClipError, ChangedError for another generation, LibraryError for texts too long.
        """
        with self.catalogue.write(Origin(by, "edit")) as writer:
            writer.edit(clip_id, changes, generation)
        return self.catalogue.clip(clip_id)

    def remove(self, clip_ids: Sequence[str], generation: int | None = None) -> None:
        """Remove clips, all or none. Uploads lose their files too; all other files stay.

        `generation`: the clips' generation that the caller has read. Raises UnknownClipError,
        ChangedError where a clip has another generation.
        """
        clips = [self.catalogue.clip(clip_id) for clip_id in clip_ids]
        for clip in clips:
            if generation not in (None, clip.generation):
                raise ChangedError(f"id: {clip.id!r} has been changed meanwhile")
        uploads = [Path(clip.path).name for clip in clips if self.uploads.contains(clip.path)]
        removing = self.uploads.removing(uploads) if uploads else contextlib.nullcontext()
        with removing, self.catalogue.write() as writer:
            for clip_id in clip_ids:
                writer.remove(clip_id)

    # Reading

    @property
    def generation(self) -> int:
        """The catalogue's generation: the number of its writes."""
        return int(self.catalogue.meta("generation"))

    def refresh(self, *, wait: bool = False) -> None:
        """Let the vector store catch up with the catalogue, to which any process may write.

        Where another thread is refreshing, return at once, and searches see the generation before;
        with `wait`, wait for it. `wait` is for writers: their writes stand where the store cannot
        be reached, and are found once it can. A large edit (`Catalogue.has_large_edit`) is taken in
        by another thread without `wait`. Raises StorageError without `wait`.
        """
        now = self.generation
        if now != self._cached_generation:
            self.clips.clear()
            self._cached_generation = now
        if self.store.generation == now:
            return
        if not self._refreshing.acquire(blocking=wait):
            return
        keeps_lock = False
        try:
            if not wait and self._takes_long():
                threading.Thread(target=self._refresh_in_background, daemon=True).start()
                keeps_lock = True
            else:
                catch_up(self.store, self.catalogue)
        except StorageError as error:
            if not wait:
                raise
            log.warning("not in the index yet: %s", error)
        finally:
            if not keeps_lock:
                self._refreshing.release()

    def _takes_long(self) -> bool:
        store = self.store
        return store.takes_edits and self.catalogue.has_large_edit(store.generation)

    def _refresh_in_background(self) -> None:
        """For a thread that has been given the lock."""
        try:
            with frequent_switches():
                catch_up(self.store, self.catalogue)
        except StorageError as error:
            log.warning("not in the index yet: %s", error)
        finally:
            self._refreshing.release()

    def current_store(self) -> VectorStore:
        """The vector store, caught up with the catalogue. Raises StorageError."""
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
        sort: Sort = "relevance",
        min_probability: float = 0.0,
        moments: int = MOMENTS,
    ) -> Page:
        """Sounds for words (`index.search.query`) that pass a filter: vectors and words, fused.

        `cursor`: of the page before; `distinct`: list near-duplicates with the best of them;
        `sort`: order of the hits; `min_probability`: of a hit; `moments`: of a hit, at most.
        Raises CursorError.
        """
        request = SearchRequest(
            parse(text),
            k,
            where or Filter(),
            cursor,
            distinct,
            sort,
            min_probability=min_probability,
            moments=moments,
        )
        return _page(self.search_batch([request]))

    def passing(self, where: Filter) -> Rows:
        """The rows of the clips that pass a filter, ascending. Raises UnknownCollectionError."""
        self.refresh()
        return np.sort(self.store.passing(self.resolved(where)), kind="stable")

    def resolved(self, where: Filter) -> Filter:
        """The filter as the store can tell it: with the rows of its names as `members`.

        Raises UnknownCollectionError.
        """
        where = self._names.resolve(where)
        return with_rows(where, self.catalogue) if self.store.outdated else where

    def columns(self, *filters: Filter) -> StoreColumns:
        """See VectorStore; of the catalogue where the store keeps none, or is outdated."""
        if self.store.outdated or (found := self.store.columns(*filters)) is None:
            return self._columns.columns(*filters)
        return found

    def named_rows(self, kind: str, name: str) -> Rows:
        """The rows that a name in a filter stands for; `kind`: the filter's field.

        Raises UnknownCollectionError.
        """
        self.refresh()
        return self._names.rows(kind, name)

    def found(self, words: str, where: Filter, min_probability: float = 0.0) -> Rows:
        """The rows of all clips that a search stands for, where it is kept or edited.

        Without words all that pass the filter, newest first. With words the hits that hold most of
        them or are not unlikely, as facets count (`Ranker.listed`), best first, at most MAX_FOUND.
        Raises UnknownCollectionError, UnknownClassifierError.
        """
        if not words.strip():
            return self.passing(where)[::-1]
        page = self.search(words, MAX_FOUND, where, min_probability=min_probability, moments=0)
        request = SearchRequest(parse(words), where=where, min_probability=min_probability)
        counted = set(self.listed([request])[0].tolist())
        rows = [
            hit.clip.row
            for hit in page.hits
            if hit.clip.row in counted and (hit.share > 0 or hit.confidence in ("sure", "maybe"))
        ]
        return np.array(rows, np.int64)

    def listed(self, requests: Sequence[SearchRequest]) -> list[Rows]:
        """Of each request by words the rows of the hits that an order other than by relevance
        lists. Raises UnknownCollectionError."""
        encoded = self._encoder.encode(requests)
        self.refresh()
        return self._ranker(self._judge).listed(
            [replace(request, where=self.resolved(request.where)) for request in encoded]
        )

    def search_batch(self, requests: Sequence[SearchRequest]) -> list[Page | LibraryError]:
        """The page of each request by words, or the error of its cursor or filter. A batch costs
        less than each request alone."""
        encoded = self._encoder.encode(requests)
        self.refresh()
        return self._pages(encoded)

    def search_by_vector(
        self,
        vector: Array,
        k: int = 10,
        where: Filter | None = None,
        *,
        sound: str = "",
        cursor: str = "",
        distinct: bool = False,
        min_probability: float = 0.0,
        moments: int = MOMENTS,
    ) -> Page:
        """Sounds like a vector [D]. `sound`: a name of the sound that it is of, for cursors.

        Raises CursorError.
        """
        self.refresh()
        request = SearchRequest(
            k=k,
            where=where or Filter(),
            cursor=cursor,
            distinct=distinct,
            vector=vector,
            sound=sound,
            min_probability=min_probability,
            moments=moments,
        )
        return _page(self._pages([request]))

    def search_by_classifier(
        self,
        found: Classifier,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
        min_probability: float = 0.0,
        moments: int = MOMENTS,
    ) -> Page:
        """Sounds by a classifier, the surest first; probabilities are the classifier's.

        Raises NotTaughtError, CursorError.
        """
        if found.fitted is None:
            raise NotTaughtError(
                f"classifier: expected labels of {found.name[:60]!r} first, got none"
            )
        self.refresh()
        request = SearchRequest(
            k=k,
            where=where or Filter(),
            cursor=cursor,
            distinct=distinct,
            vector=found.fitted.direction,
            sound=f"classifier {found.number} {found.version}",
            min_probability=min_probability,
            moments=moments,
        )
        judge = Judge(sounds=RelevanceCurve.plain(found.fitted.scale, found.fitted.bias))
        return _page(self._pages([request], judge))

    def search_by_clip(
        self,
        clip_id: str,
        k: int = 10,
        where: Filter | None = None,
        *,
        cursor: str = "",
        distinct: bool = False,
        min_probability: float = 0.0,
        moments: int = MOMENTS,
    ) -> Page:
        """Sounds like a clip of the library, without that clip.

        Raises UnknownClipError, CursorError.
        """
        row = self.catalogue.clip(clip_id).row
        vector = self.catalogue.vector(row)
        if vector is None:
            raise UnknownClipError(f"id: no clip {clip_id!r} in this library")
        where = replace(where or Filter(), but=row)
        return self.search_by_vector(
            vector,
            k,
            where,
            sound=f"clip {row}",
            cursor=cursor,
            distinct=distinct,
            min_probability=min_probability,
            moments=moments,
        )

    def _pages(
        self, requests: Sequence[SearchRequest], judge: Judge | None = None
    ) -> list[Page | LibraryError]:
        resolved = [self._resolved(request) for request in requests]
        known = [request for request in resolved if isinstance(request, SearchRequest)]
        if self.recall_monitor is not None:
            for request in known:
                if request.vector is not None:
                    self.recall_monitor.offer(request.vector, request.where)
        pages = iter(self._ranker(judge or self._judge).pages(known))
        return [
            next(pages) if isinstance(request, SearchRequest) else request for request in resolved
        ]

    def _ranker(self, judge: Judge) -> Ranker:
        window_seconds = self.embedder.front_end.window_seconds
        return Ranker(self.clips, self.catalogue, self.store, window_seconds, judge)

    def _resolved(self, request: SearchRequest) -> SearchRequest | LibraryError:
        """The request with the rows of its filter's names, or the error of one of them."""
        try:
            where = self.resolved(request.where)
        except LibraryError as error:
            return error
        return request if where is request.where else replace(request, where=where)

    def info(self) -> dict[str, Any]:
        """What `earmark info` prints."""
        self.refresh()
        return {
            "library": str(self.folder),
            "clips": self.catalogue.count(),
            **self.catalogue.totals(),
            "generation": self.generation,
            "index": self.store.description(),
            "indexed": len(self.store),
            "index_megabytes": self.store.nbytes() / 1e6,
            "model": self.embedder.name,
            "fingerprint": self.embedder.fingerprint,
            "dim": self.embedder.dim,
            "failures": self.catalogue.failures(),
            "damaged": self.catalogue.damaged_files(),
            "missing": asdict(summary_of(find_missing(self.catalogue))),
        }


def _page(pages: Sequence[Page | LibraryError]) -> Page:
    """The only page. Raises CursorError, UnknownCollectionError."""
    (page,) = pages
    if isinstance(page, LibraryError):
        raise page
    return page
