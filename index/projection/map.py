"""The library's map: a two-dimensional layout of its clips, renewed when it is viewed.

A separate process computes the layout, one at a time (`index.projection.worker`). Until it is done,
the view shows the earlier layout, with new clips near similar ones; or, if there is none or most
of its clips are gone, a PCA layout, which takes no time.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from earmark.index.library import Library
from earmark.index.projection import storage, tsne
from earmark.index.projection.storage import MapLayout, VectorHashes
from earmark.index.projection.tsne import Frame
from earmark.index.projection.worker import LayoutError, LayoutProcess
from earmark.model.core.arrays import Array, Rows
from earmark.model.text.text_key import usual_spellings

log = logging.getLogger(__name__)

State = Literal["empty", "making", "ready"]

MAX_CLIPS = 10_000  # in the map: of larger libraries a sample
MIN_KNOWN_SHARE = 0.5  # of the clips, that an earlier layout must have to be used


@dataclass(frozen=True, eq=False)
class MapView:
    """The map as of now: n clips and their positions [n, 2] in 0..1.

    `state`: "making" while a better layout is computed. `generation`: the library's that the layout
    is of. `total`: clips in the library. `rough`: the layout is only PCA. `tags`: of each clip, in
    lower case, each in its most frequent spelling. `rows` [n]: the clips' numbers.
    """

    state: State
    generation: int
    total: int
    rough: bool
    rows: Rows
    ids: Sequence[str]
    titles: Sequence[str]
    tags: Sequence[Sequence[str]]
    positions: Array

    def of(self, rows: Rows) -> MapView:
        """The map with these clips alone, each where it is in the whole."""
        shown = np.flatnonzero(np.isin(self.rows, rows)).tolist()
        return replace(
            self,
            rows=self.rows[shown],
            ids=[self.ids[place] for place in shown],
            titles=[self.titles[place] for place in shown],
            tags=[self.tags[place] for place in shown],
            positions=self.positions[shown],
        )


@dataclass(frozen=True)
class _Sample:
    """The n clips of the map, with their vectors [n, D]."""

    rows: Rows
    hashes: VectorHashes
    vectors: Array
    ids: Sequence[str]
    titles: Sequence[str]
    tags: Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Placement:
    """Positions of a sample [n, 2] in a layout's units, and its frame. `rough`: by PCA only."""

    positions: Array
    frame: Frame
    rough: bool


class LibraryMap:
    """A library's map. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._id = library.catalogue.meta("library")
        self._lock = threading.Lock()
        self._layout: MapLayout | None = None
        self._loaded = False  # the saved layout
        self._process: LayoutProcess | None = None
        self._thread: threading.Thread | None = None
        self._failed: tuple[Rows, VectorHashes] | None = None  # of the sample without a layout
        self._closed = False
        self._view: MapView | None = None
        self._view_generation = -1

    def view(self) -> MapView:
        """The map as of now, the same object until it changes. Starts a better layout if needed.

        Raises StorageError.
        """
        with self._lock:
            generation = self._library.generation
            if self._view is None or self._view_generation != generation:
                self._view = self._new_view(generation)
                self._view_generation = generation
            return self._view

    def close(self) -> None:
        """End the layout process."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.end()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _new_view(self, generation: int) -> MapView:
        if not self._loaded:
            self._layout, self._loaded = storage.load(self._library.folder, self._id), True
        sample, total = self._sample(), self._library.catalogue.count()
        if not len(sample.rows):
            nowhere = np.zeros((0, 2), "f4")
            return MapView("empty", generation, total, False, sample.rows, (), (), (), nowhere)
        placement = _place(self._layout, sample)
        is_current = self._layout is not None and self._layout.matches(sample.rows, sample.hashes)
        large = len(sample.rows) > tsne.MAX_EXACT
        due = not is_current and large and not self._has_failed(sample)
        if due and self._thread is None and not self._closed:
            self._start_layout(sample, placement, generation)
        if due and self._layout and not placement.rough:
            generation = self._layout.generation
        return MapView(
            state="making" if due else "ready",
            generation=generation,
            total=total,
            rough=placement.rough and large,
            rows=sample.rows,
            ids=sample.ids,
            titles=sample.titles,
            tags=sample.tags,
            positions=placement.frame.normalise(placement.positions),
        )

    def _sample(self) -> _Sample:
        clips = self._library.catalogue.sample(MAX_CLIPS)
        dim = self._library.embedder.dim
        rows, ids, titles, tags, blobs = zip(*clips, strict=True) if clips else [()] * 5
        vectors = np.frombuffer(b"".join(blobs), np.float32).reshape(len(clips), dim)
        return _Sample(
            rows=np.array(rows, np.int64),
            hashes=tsne.vector_hashes(vectors),
            vectors=vectors,
            ids=ids,
            titles=titles,
            tags=_spelt_alike([text.lower().split() for text in tags]),
        )

    def _has_failed(self, sample: _Sample) -> bool:
        if self._failed is None:
            return False
        rows, hashes = self._failed
        return np.array_equal(rows, sample.rows) and np.array_equal(hashes, sample.hashes)

    # The layout, in a thread that waits for the process

    def _start_layout(self, sample: _Sample, placement: _Placement, generation: int) -> None:
        self._thread = threading.Thread(
            target=self._lay_out, args=(sample, placement, generation), name="map", daemon=True
        )
        self._thread.start()

    def _lay_out(self, sample: _Sample, placement: _Placement, generation: int) -> None:
        layout = None
        try:
            layout = self._compute(sample, placement, generation)
            self._save(layout)
        except (LayoutError, OSError) as error:
            if not self._closed:
                log.error("no map could be made of the library (%s); it is tried again when its "
                          "sounds change", error)  # fmt: skip
        finally:
            with self._lock:
                self._layout = layout or self._layout
                self._failed = None if layout else (sample.rows, sample.hashes)
                self._process = self._thread = self._view = None

    def _save(self, layout: MapLayout) -> None:
        try:
            storage.save(layout, self._library.folder, self._id)
        except OSError as error:  # derived: after a restart it is computed again
            log.warning("the map is not kept: %s", error.strerror)

    def _compute(self, sample: _Sample, placement: _Placement, generation: int) -> MapLayout:
        """Raises LayoutError, OSError."""
        with closing(LayoutProcess()) as process:
            with self._lock:
                if self._closed:
                    raise LayoutError("the service stops")
                self._process = process
            start = None if placement.rough else placement.positions
            positions = process.lay_out(sample.vectors, start)
            with self._lock:
                self._process = None
        frame = (
            Frame.around(positions) if placement.rough else placement.frame.updated_for(positions)
        )
        return MapLayout(sample.rows, sample.hashes, positions, frame, generation)


def _spelt_alike(lists: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Each clip's tags in the most frequent spelling of all clips', each once."""
    usual = usual_spellings(Counter(tag for tags in lists for tag in tags))
    return [tuple(dict.fromkeys(usual[tag] for tag in tags)) for tags in lists]


def _place(layout: MapLayout | None, sample: _Sample) -> _Placement:
    """Positions from an earlier layout that has enough of the clips; else by PCA."""
    if layout is not None:
        indices, known = layout.find(sample.rows, sample.hashes)
        if np.count_nonzero(known) >= MIN_KNOWN_SHARE * len(sample.rows):
            positions = np.array(layout.positions[indices])
            positions[~known] = tsne.place_near_similar(
                sample.vectors[~known], sample.vectors[known], positions[known]
            )
            return _Placement(positions, layout.frame, rough=False)
    positions = tsne.pca_layout(sample.vectors)
    return _Placement(positions, Frame.around(positions), rough=True)
