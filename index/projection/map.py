"""The library's map, for those who look at it: laid out anew when they do and it has changed.

A process of its own lays it out, one at a time (`index.projection.worker`). Meanwhile the old map
is shown, new clips beside those that they are like; where there is none, or most of it has gone, a
rough picture, which takes no time.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
import orjson

from earmark.index.library import Library
from earmark.index.projection import storage, tsne
from earmark.index.projection.storage import MapLayout, VectorHashes
from earmark.index.projection.tsne import Frame
from earmark.index.projection.worker import LayoutError, LayoutProcess
from earmark.model.core.arrays import Array, Rows

log = logging.getLogger(__name__)

State = Literal["empty", "making", "ready"]

MAX_CLIPS = 10_000  # clips that are shown
MAX_CLIP_TAGS = 20  # of a clip that are told, the most frequent ones
MIN_KNOWN_SHARE = 0.5  # of the clips that an old map must show to be gone on from


@dataclass(frozen=True)
class Answer:
    """A map as JSON, and its entity tag."""

    body: bytes
    tag: str


@dataclass(frozen=True)
class _Shown:
    """The clips that a map is to show: [n] each, and their vectors [n, D]."""

    rows: Rows
    marks: VectorHashes
    vectors: Array
    ids: Sequence[str]
    titles: Sequence[str]
    tags: Sequence[Sequence[str]]


@dataclass(frozen=True)
class _Placed:
    """Places of the clips [n, 2] as a layout has them, and the frame to see them in.

    `rough`: by nothing but main directions.
    """

    places: Array
    frame: Frame
    rough: bool


class LibraryMap:
    """A library's map. Safe to share between threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._id = library.catalogue.meta("library")
        self._lock = threading.Lock()
        self._map: MapLayout | None = None
        self._read = False  # the file
        self._process: LayoutProcess | None = None
        self._thread: threading.Thread | None = None
        self._failed: tuple[Rows, VectorHashes] | None = None  # of what no map could be made
        self._closed = False
        self._answer: Answer | None = None
        self._answered = -1  # the generation that the answer is of

    def get(self) -> Answer:
        """The map as it is now; a better one is begun where it is due. Raises StorageError."""
        with self._lock:
            generation = self._library.generation
            if self._answer is None or self._answered != generation:
                self._answer = self._made(generation)
                self._answered = generation
            return self._answer

    def close(self) -> None:
        """End the process that lays out."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.end()
            making = self._thread
        if making is not None:
            making.join()

    def _made(self, generation: int) -> Answer:
        if not self._read:
            self._map, self._read = storage.load(self._library.folder, self._id), True
        shown, total = self._sample(), self._library.catalogue.count()
        if not len(shown.rows):
            return _answer("empty", generation, total, shown, np.zeros((0, 2), np.float32), False)
        placed = _placed(self._map, shown)
        laid_out = self._map is not None and self._map.shows(shown.rows, shown.marks)
        due = not laid_out and len(shown.rows) > tsne.MAX_EXACT and not self._is_failed(shown)
        if due and self._thread is None and not self._closed:
            self._begin(shown, placed, generation)
        of = self._map.generation if due and self._map and not placed.rough else generation
        places = placed.frame.framed(placed.places)
        rough = placed.rough and len(shown.rows) > tsne.MAX_EXACT
        return _answer("making" if due else "ready", of, total, shown, places, rough)

    def _sample(self) -> _Shown:
        found = self._library.catalogue.sample(MAX_CLIPS)
        dim = self._library.embedder.dim
        rows, ids, titles, tags, vectors = zip(*found, strict=True) if found else [()] * 5
        held = np.frombuffer(b"".join(vectors), np.float32).reshape(len(found), dim)
        said = [tuple(dict.fromkeys(each.lower().split())) for each in tags]
        return _Shown(np.array(rows, np.int64), tsne.vector_hashes(held), held, ids, titles, said)

    def _is_failed(self, shown: _Shown) -> bool:
        if self._failed is None:
            return False
        rows, marks = self._failed
        return np.array_equal(rows, shown.rows) and np.array_equal(marks, shown.marks)

    # Making

    def _begin(self, shown: _Shown, placed: _Placed, generation: int) -> None:
        self._thread = threading.Thread(
            target=self._make, args=(shown, placed, generation), name="map", daemon=True
        )
        self._thread.start()

    def _make(self, shown: _Shown, placed: _Placed, generation: int) -> None:
        made = None
        try:
            made = self._laid_out(shown, placed, generation)
            self._keep(made)
        except (LayoutError, OSError) as error:
            if not self._closed:
                log.error("no map could be made of the library (%s); it is tried again when its "
                          "sounds change", error)  # fmt: skip
        finally:
            with self._lock:
                self._map = made or self._map
                self._failed = None if made else (shown.rows, shown.marks)
                self._process = self._thread = self._answer = None

    def _keep(self, made: MapLayout) -> None:
        try:
            storage.save(made, self._library.folder, self._id)
        except OSError as error:  # derived: without it a restart makes the map anew
            log.warning("the map is not kept: %s", error.strerror)

    def _laid_out(self, shown: _Shown, placed: _Placed, generation: int) -> MapLayout:
        """Raises LayoutError, OSError."""
        with closing(LayoutProcess()) as process:
            with self._lock:
                if self._closed:
                    raise LayoutError("the service stops")
                self._process = process
            places = process.lay_out(shown.vectors, None if placed.rough else placed.places)
            with self._lock:
                self._process = None
        frame = Frame.around(places) if placed.rough else placed.frame.kept(places)
        return MapLayout(shown.rows, shown.marks, places, frame, generation)


def _placed(known: MapLayout | None, shown: _Shown) -> _Placed:
    if known is not None:
        found, same = known.known(shown.rows, shown.marks)
        if np.count_nonzero(same) >= MIN_KNOWN_SHARE * len(shown.rows):
            places = np.array(known.places[found])
            places[~same] = tsne.place_near_similar(
                shown.vectors[~same], shown.vectors[same], places[same]
            )
            return _Placed(places, known.frame, rough=False)
    places = tsne.pca_layout(shown.vectors)
    return _Placed(places, Frame.around(places), rough=True)


def _answer(
    state: State, generation: int, total: int, shown: _Shown, places: Array, rough: bool
) -> Answer:
    counts = Counter(tag for tags in shown.tags for tag in tags)
    names = sorted(counts, key=lambda name: (-counts[name], name))
    numbers = {name: number for number, name in enumerate(names)}
    tags = [sorted(numbers[tag] for tag in tags)[:MAX_CLIP_TAGS] for tags in shown.tags]
    x, y = (np.round(places[:, axis].astype(np.float64), 4).tolist() for axis in (0, 1))
    points = {
        "id": shown.ids,
        "title": shown.titles,
        "tag": [names[own[0]] if own else "" for own in tags],
        "tags": tags,
        "x": x,
        "y": y,
    }
    body = orjson.dumps(
        {
            "state": state,
            "rough": rough,
            "generation": generation,
            "total": total,
            "shown": len(shown.rows),
            "names": names,
            "points": points,
        }
    )
    return Answer(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
