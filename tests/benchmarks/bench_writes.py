"""Searching while others write: `python -m tests.benchmarks.bench_writes [SECONDS]`.

A library of 10,000 made-up clips and the starter model. One process asks 50 searches a second,
first alone, then beside another process that writes 20 transactions a second: clips added,
retagged and removed. Prints the times of searches, errors, and how much later the writes come.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Event as EventType
from pathlib import Path

import numpy as np
import torch

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.benchmarks.bench_service import WORDS, fill
from tests.index.made import new_clip

CLIPS, SEARCHES, WRITES = 10_000, 50, 20


def write(folder: Path, dim: int, stop: EventType) -> None:
    """So many transactions a second until told to stop."""
    generator = np.random.default_rng(1)
    catalogue = Catalogue.open(folder)
    ids: list[str] = []
    begun, late = time.perf_counter(), 0.0
    for number in itertools.count():
        due = begun + number / WRITES
        time.sleep(max(0.0, due - time.perf_counter()))
        if stop.is_set():
            break
        with catalogue.write() as writer:
            if number % 3 == 2 and ids:
                writer.remove(ids.pop(0))
            elif number % 3 == 1 and ids:
                writer.update_metadata(
                    f"/sounds/new {number - 1}.wav", Metadata(tags=("rain", "new"))
                )
            else:
                vector = generator.standard_normal(dim).astype(np.float32)
                none = np.zeros((0, dim), np.float32)
                clip = new_clip(
                    f"new {number}",
                    sha256=f"{number:064x}"[::-1],
                    vector=vector / np.linalg.norm(vector),
                    windows=none,
                )
                ids.append(writer.put(clip))
        late = max(late, time.perf_counter() - due)
    catalogue.close()
    print(f"{number} writes, the latest {1000 * late:.0f} ms after its time", flush=True)


def search(library: Library, seconds: float) -> np.ndarray:
    """Milliseconds of searches at their pace, from when each was due."""
    generator, taken = np.random.default_rng(2), []
    begun = time.perf_counter()
    for number in range(int(seconds * SEARCHES)):
        due = begun + number / SEARCHES
        time.sleep(max(0.0, due - time.perf_counter()))
        text = " ".join(generator.choice(WORDS, 2, replace=False))
        hits = library.search(text, 10).hits
        assert len(hits) == 10
        taken.append(1000 * (time.perf_counter() - due))
    return np.array(taken)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", nargs="?", type=float, default=60.0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # one query is not worth a team of threads
    embedder = load_embedder(starter_model())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "library"
        fill(folder, embedder, CLIPS)
        with Library.open(folder, embedder) as library:
            search(library, 2)
            alone = search(library, max(10.0, options.seconds / 5))
            context = get_context("spawn")
            stop = context.Event()
            writer = context.Process(target=write, args=(folder, embedder.dim, stop))
            writer.start()
            time.sleep(2)
            beside = search(library, options.seconds)
            stop.set()
            writer.join()
            print(library.store.description())
    for what, taken in (("alone", alone), ("beside writes", beside)):
        p50, p95, p99 = np.percentile(taken, [50, 95, 99])
        print(f"{what:16} {len(taken):6} searches  p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f} ms")
    ratio = np.percentile(beside, 99) / np.percentile(alone, 99)
    print(f"p99 beside writes is {ratio:.2f} times that alone")


if __name__ == "__main__":
    main()
