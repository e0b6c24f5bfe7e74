"""A library of a million vectors: `python -m tests.benchmarks.bench_library [CLIPS] [FOLDER]`.

Made-up clips: vectors of 128 dimensions in 2,000 clusters, tags by Zipf's law over 2,000 words,
durations as a sample library has them. Filters let a half, 1 % and 0.01 % pass. Beside the store,
raw FAISS on the same vectors: flat in float32, and lists as the store has them. Recall@10 is
against exact search among the clips that pass. The folder is kept: a second run opens it.

With `--windows 9` each clip has nine windows as well: most near the clip's own vector, every third
anywhere. `100000 --windows 9` are a million vectors.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
import psutil

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.moment_vectors import moment_vectors
from earmark.index.lexical.stemming import stems
from earmark.index.library import SNAPSHOT
from earmark.index.search.clip_cache import ClipCache
from earmark.index.search.ranking import POOLS, Ranker
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter, SearchRequest
from tests.index.made import new_clip

DIM, CLUSTERS, WORDS, QUERIES, NEAREST = 128, 2_000, 2_000, 300, 10
BLOCK = 20_000
# Deviations along the axes, which fall as those of the starter model's vectors do.
SPREAD = (1 + np.arange(DIM, dtype=np.float32) / 10) ** -0.75
SPREAD /= np.sqrt(np.mean(SPREAD**2))


@dataclass(frozen=True)
class MadeUp:
    """Unit vectors [n, 1 + windows, D], durations [n] in seconds, tags of each clip."""

    vectors: np.ndarray
    durations: np.ndarray
    tags: list[tuple[str, ...]]

    @cached_property
    def indexed(self) -> np.ndarray:
        """The vectors as an index has them."""
        every = self.vectors.copy()
        for clip in every:
            clip[1:] = moment_vectors(clip[1:])
        return every

    def nearest(self, query: np.ndarray, allowed: np.ndarray) -> np.ndarray:
        """The rows of the nearest of the clips in a mask [n], each by its nearest vector."""
        cosines = (self.indexed @ query).max(axis=1)
        cosines[~allowed] = -np.inf
        best = np.argsort(-cosines)[:NEAREST]
        return best[allowed[best]] + 1


def made_up(clips: int, windows: int) -> MadeUp:
    """The same for the same numbers."""
    generator = np.random.default_rng(0)
    centres = SPREAD * generator.standard_normal((CLUSTERS, DIM)).astype(np.float32)
    own = generator.integers(0, CLUSTERS, clips)
    vectors = np.empty((clips, DIM), np.float32)
    for start in range(0, clips, 100_000):
        part = own[start : start + 100_000]
        noise = generator.standard_normal((len(part), DIM)).astype(np.float32)
        vectors[start : start + len(part)] = centres[part] + 1.2 * SPREAD * noise
    vectors = _with_windows(vectors, centres, windows)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    words = [f"word{number}" for number in range(WORDS)]
    processes = np.minimum(generator.zipf(1.3, (clips, 6)), WORDS) - 1
    tags = [tuple(dict.fromkeys(words[rank] for rank in processes[clip])) for clip in range(clips)]
    durations = np.round(np.exp(generator.normal(1.2, 1.0, clips)), 2).astype(np.float32)
    return MadeUp(vectors, durations, tags)


def _with_windows(vectors: np.ndarray, centres: np.ndarray, windows: int) -> np.ndarray:
    """Vectors [n, D] → [n, 1 + windows, D]."""
    generator = np.random.default_rng(2)
    every = np.empty((len(vectors), 1 + windows, DIM), np.float32)
    every[:, 0] = vectors
    for window in range(1, windows + 1):
        around = vectors
        if window % 3 == 0:
            around = centres[generator.integers(0, CLUSTERS, len(vectors))]
        every[:, window] = around + 0.8 * SPREAD * generator.standard_normal(vectors.shape)
    return every


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds that a block takes."""
    begun = time.perf_counter()
    yield
    print(f"{what:58} {time.perf_counter() - begun:9.2f} s", flush=True)


def fill(folder: Path, clips: MadeUp) -> None:
    """Write all clips to a catalogue."""
    catalogue = Catalogue.create(folder, "bench", DIM)
    starts = 2.56 * np.arange(clips.vectors.shape[1] - 1)
    for start in range(0, len(clips.vectors), BLOCK):
        with catalogue.write() as writer:
            for number in range(start, min(start + BLOCK, len(clips.vectors))):
                writer.put(
                    new_clip(
                        f"clip {number}",
                        sha256=f"{number:012x}" + "0" * 52,
                        tags=clips.tags[number],
                        duration=float(clips.durations[number]),
                        vector=clips.vectors[number, 0],
                        windows=clips.vectors[number, 1:],
                        starts=starts,
                    )
                )
    catalogue.close()


def measured(what: str, search: Callable[[np.ndarray], np.ndarray], queries: np.ndarray) -> list:
    """Print the times of single searches in milliseconds; what was found."""
    found, taken = [], []
    for query in queries:
        begun = time.perf_counter()
        found.append(search(query))
        taken.append(1000 * (time.perf_counter() - begun))
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    print(f"{what:44} p50 {p50:7.2f}  p95 {p95:7.2f}  p99 {p99:7.2f} ms", end="", flush=True)
    return found


def filters(clips: MadeUp) -> dict[str, Filter]:
    """By the share that passes."""
    durations = clips.durations
    half = float(np.median(durations))
    rare = float(np.quantile(durations, 0.99))
    rarest = float(np.sort(durations)[-max(NEAREST, len(durations) // 10_000)])
    return {
        "all": Filter(),
        "50 %": Filter(max_duration=half),
        "1 %": Filter(min_duration=rare),
        "0.01 %": Filter(min_duration=rarest),
        "a tag": Filter(all_tags=("word20",)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="?", type=int, default=1_000_000)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "earmark-bench"
    )
    parser.add_argument("--windows", type=int, default=0, metavar="N", help="of each clip")
    parser.add_argument("--words", action="store_true", help="only the words")
    options = parser.parse_args()
    folder = options.folder / f"{options.clips}-{options.windows}"
    clips = made_up(options.clips, options.windows)
    if not folder.exists():
        with timed("writing the catalogue"):
            fill(folder, clips)
    catalogue, snapshot = Catalogue.open(folder), folder / SNAPSHOT
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    store = FaissStore("bench", DIM)
    if not store.load(snapshot):
        with timed("reading the catalogue"):
            changes = catalogue.changes(0)
        with timed("building the index"):
            store.apply(changes)
            store.wait_until_idle()
        del changes
        with timed("saving the snapshot"):
            store.save(snapshot)
    del store
    store = FaissStore("bench", DIM)
    with timed(f"cold start from the snapshot ({snapshot.stat().st_size / 1e6:.0f} MB)"):
        assert store.load(snapshot)
        assert store.generation == int(catalogue.meta("generation"))
        store.search(clips.vectors[0, 0], NEAREST)
    grown = (process.memory_info().rss - before) / 1e6
    print(
        f"{store.description()}\n{store.nbytes() / 1e6:.0f} MB by its own count, "
        f"{grown:.0f} MB resident"
    )
    if not options.words:
        compare(store, clips)
    compare_words(catalogue, store, clips)
    catalogue.close()


def compare(store: FaissStore, clips: MadeUp) -> None:
    """The store and raw FAISS, filter by filter."""
    generator = np.random.default_rng(1)
    every = clips.vectors.reshape(-1, DIM)
    picked = every[generator.choice(len(every), QUERIES, replace=False)]
    queries = picked + 0.5 / np.sqrt(DIM) * SPREAD * generator.standard_normal(picked.shape)
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(every)
    has_windows = clips.vectors.shape[1] > 1
    lists = store._state.base.index
    for share, where in filters(clips).items():
        rows = np.sort(store.passing(where))
        allowed = np.zeros(len(clips.vectors), dtype=bool)
        allowed[rows - 1] = True
        if has_windows:  # raw FAISS finds vectors, not clips
            exact = [clips.nearest(query, allowed) for query in queries[:40]]
            _measure_store(store, share, where, queries, exact)
            continue
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        own = faiss.SearchParameters(sel=None if where.empty else selector)
        exact = measured(
            f"raw FAISS, flat, {share}",
            lambda query, own=own: flat.search(query[None], NEAREST, params=own)[1][0] + 1,
            queries[:40],
        )
        print()
        if lists.ntotal == len(clips.vectors) and store._state.base.probes:
            probes = faiss.SearchParametersIVF(
                sel=None if where.empty else selector, nprobe=store._state.base.probes
            )
            raw = measured(
                f"raw FAISS, lists, no wider under a filter, {share}",
                lambda query, own=probes: lists.search(query[None], NEAREST, params=own)[1][0] + 1,
                queries,
            )
            print(f"  recall@{NEAREST} {recall(exact, raw):.3f}")
        _measure_store(store, share, where, queries, exact)


def _measure_store(
    store: FaissStore, share: str, where: Filter, queries: np.ndarray, exact: list[np.ndarray]
) -> None:
    """The times and the recall of ten hits, and of the hundred that rankings are made of."""
    for count in (NEAREST, POOLS[0]):
        found = measured(
            f"store, {share}, {count} clips",
            lambda query, count=count: store.search(query, count, where)[0],
            queries,
        )
        print(f"  recall@{NEAREST} {recall(exact, [one[:NEAREST] for one in found]):.3f}")


def compare_words(catalogue: Catalogue, store: FaissStore, clips: MadeUp) -> None:
    """Words from the commonest to a rare one, alone and with vectors; whole pages of ten hits."""
    queries = clips.vectors[:60, 0]
    for words in ("word0", "word3", "word20", "word1500", "word0 word20", "clip word3 word1500"):
        own = stems(words)
        count = len(store.match(list(own), 10**9)[0])
        measured(
            f"{words} ({count} clips hold one)",
            lambda query, own=own: store.match(list(own), 100, None, query)[0],
            queries,
        )
        print()
        measured(
            "  a page of hits, vectors and words",
            lambda query, own=own: Ranker(ClipCache(catalogue), catalogue, store, 2.56).pages(
                [SearchRequest(k=NEAREST, vector=query, stems=own)]
            ),
            queries,
        )
        print()


def recall(exact: list[np.ndarray], found: list[np.ndarray]) -> float:
    """Share of the exact neighbours that were found."""
    pairs = zip(exact, found, strict=False)
    return float(np.mean([np.isin(one[one > 0], other).mean() for one, other in pairs]))


if __name__ == "__main__":
    main()
