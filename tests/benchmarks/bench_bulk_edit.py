"""A bulk edit while others search: `python -m tests.benchmarks.bench_bulk_edit [CLIPS]`.

The starter model, a library of 100,000 made-up clips in 2,000 clusters, a server as `earmark serve`
starts it. A client asks one search after another, 10 a second at most, first alone, then while all
clips are edited over HTTP and while that is undone. Prints how long both take, the times of the
searches in each part, and what it costs on disk and in memory.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch

from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.benchmarks.bench_service import WORDS
from tests.index.made import new_clip
from tests.service.server_process import Server, serving

CLUSTERS, BLOCK = 2_000, 20_000
RATE, ALONE_SECONDS = 10, 10.0


def fill(folder: Path, embedder: Embedder, count: int) -> None:
    """A library of clips that never were, in clusters, with titles and tags of real words."""
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((CLUSTERS, embedder.dim)).astype(np.float32)
    catalogue = Catalogue.create(folder, embedder.fingerprint, embedder.dim)
    for start in range(0, count, BLOCK):
        numbers = range(start, min(start + BLOCK, count))
        own = centres[generator.integers(0, CLUSTERS, len(numbers))]
        vectors = own + 0.7 * generator.standard_normal(own.shape).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with catalogue.write() as writer:
            for number, vector in zip(numbers, vectors, strict=True):
                words = generator.choice(WORDS, 3, replace=False)
                title = f"{' '.join(words)} {number}"
                clip = new_clip(f"{number}", number, vector=vector, title=title, tags=tuple(words))
                writer.put(clip)
    catalogue.close()


def searches(base: str, is_over: Callable[[], bool]) -> np.ndarray:
    """Milliseconds of searches, one after another, at RATE a second at most."""
    asked = itertools.cycle(itertools.permutations(WORDS, 3))
    taken: list[float] = []
    with httpx.Client(base_url=base, timeout=60) as client:
        while not is_over():
            begun = time.perf_counter()
            client.get("/v1/search", params={"q": " ".join(next(asked))}).raise_for_status()
            seconds = time.perf_counter() - begun
            taken.append(1000 * seconds)
            time.sleep(max(0.0, 1 / RATE - seconds))
    return np.array(taken)


def report(what: str, taken: np.ndarray, seconds: float) -> None:
    """One line of the table."""
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    print(f"{what:36} {seconds:8.1f} s {len(taken):6} {p50:9.2f} {p95:9.2f} {p99:9.2f}", flush=True)


def beside(server: Server, what: str, work: Callable[[], object]) -> None:
    """Searches while something is done."""
    done = threading.Event()
    found: list[np.ndarray] = []
    base = str(server.client.base_url)
    searching = threading.Thread(target=lambda: found.append(searches(base, done.is_set)))
    searching.start()
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    done.set()
    searching.join()
    report(what, found[0], seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=int, nargs="?", default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = starter_model()
    embedder = load_embedder(model)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load}; {options.clips} clips, {RATE} searches a second")
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary) / "library"
        fill(folder, embedder, options.clips)
        before = (folder / FILE_NAME).stat().st_size
        with serving(Path(temporary) / "log", "--library", folder, "--model", model) as server:
            process = psutil.Process(server.process.pid)

            def memory() -> float:
                every = [process, *process.children(recursive=True)]
                return sum(each.memory_full_info().pss for each in every) / 1e6

            def edit() -> None:
                body = {"where": {}, "set": {"licence": "CC0-1.0"}, "add_tags": ["archive"]}
                answer = server.client.patch("/v1/clips", json=body, timeout=600)
                print(answer.raise_for_status().json())

            def undo() -> None:
                answer = server.client.post("/v1/edits/1/undo", timeout=600)
                print(answer.raise_for_status().json())

            fresh = memory()
            print(f"{'milliseconds':36} {'':10} {'calls':>6} {'p50':>9} {'p95':>9} {'p99':>9}")
            beside(server, "(to warm up)", lambda: time.sleep(5))
            beside(server, "searches alone", lambda: time.sleep(ALONE_SECONDS))
            beside(server, "beside a bulk edit of all clips", edit)
            beside(server, "beside undoing it", undo)
            beside(server, "searches alone", lambda: time.sleep(ALONE_SECONDS))
            print(f"\nmemory of the service: {fresh:.0f} MB, then {memory():.0f} MB")
            log = folder / f"{FILE_NAME}-wal"
            print(
                f"log {log.stat().st_size / 1e6:.0f} MB; catalogue {before / 1e6:.0f} MB,", end=" "
            )
        print(f"then {(folder / FILE_NAME).stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
