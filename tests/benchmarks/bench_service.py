"""How fast the service is here: `python -m tests.benchmarks.bench_service`.

The starter model, a library of 10,000 made-up clips, a server as `earmark serve` starts it.
Prints a table and judges nothing: figures of a busy machine say little. Times in milliseconds
unless said.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.library import Library
from earmark.model.audio.decode import SoundReader
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.index.made import new_clip
from tests.model import tiny
from tests.service import sounds
from tests.service.server_process import Server, serving

WORDS = "dog rain wind car bell bird sea wave door step drum voice child water metal glass".split()
PATIENCE = 10.0  # seconds for each figure


def times(work: Callable[[], object], most: int) -> np.ndarray:
    """Milliseconds of each of up to `most` calls, after three to warm up."""
    for _ in range(3):
        work()
    taken: list[float] = []
    until = time.perf_counter() + PATIENCE
    while len(taken) < most and time.perf_counter() < until:
        begun = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - begun))
    return np.array(taken)


def row(what: str, taken: np.ndarray) -> None:
    """One line of the table."""
    p50, p95, p99 = np.percentile(taken, [50, 95, 99])
    print(f"{what:44} {len(taken):6} {p50:9.2f} {p95:9.2f} {p99:9.2f}")


def fill(folder: Path, embedder: Embedder, count: int) -> None:
    """A library of clips that never were: random vectors, titles and tags of real words."""
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((count, embedder.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    catalogue = Catalogue.create(folder, embedder.fingerprint, embedder.dim)
    with catalogue.write() as writer:
        for number, vector in enumerate(vectors):
            words = generator.choice(WORDS, 3, replace=False)
            title = f"{' '.join(words)} {number}"
            writer.put(new_clip(f"{number}", number, vector=vector, title=title, tags=tuple(words)))
    catalogue.close()


def queries() -> Callable[[], str]:
    """A source of queries, hardly two alike."""
    triples = itertools.cycle(itertools.permutations(WORDS, 3))
    return lambda: " ".join(next(triples))


def in_process(embedder: Embedder, folder: Path, sound: bytes) -> None:
    """Figures without the service around them."""

    def bare() -> None:
        for patches, _ in embedder.windows(SoundReader(sound, embedder.front_end.sample_rate)):
            embedder.encode(patches)

    row("10 s: decode and encoder alone", times(bare, 100))
    row("10 s: embed_audio", times(lambda: embedder.embed_audio(sound), 100))
    ask = queries()
    with Library.open(folder, embedder) as library:
        row("search in the library, 10 hits", times(lambda: library.search(ask()), 2000))
        vector = embedder.embed_audio(sound).vector
        row(
            "similar in the library, 10 hits",
            times(lambda: library.search_by_vector(vector).hits, 2000),
        )


def over_http(server: Server, sound: bytes) -> None:
    """Figures of the running server, one request after another."""
    client, ask = server.client, queries()

    def search() -> None:
        client.get("/v1/search", params={"q": ask()}).raise_for_status()

    def upload(path: str, **data: str) -> Callable[[], httpx.Response]:
        return lambda: server.upload(sound, path, **data).raise_for_status()

    row("HTTP: /healthz", times(lambda: client.get("/healthz"), 1000))
    row("HTTP: search, 10 hits", times(search, 2000))
    row("HTTP: 10 s upload, tags", times(upload("/v1/tags"), 100))
    row("HTTP: 10 s upload, classify", times(upload("/v1/classify", labels="dog,rain,car"), 100))


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--model", type=Path, default=starter_model())
    options = parser.parse_args()
    torch.set_num_threads(1)  # as the server has it
    embedder = load_embedder(options.model)
    sound = sounds.encoded(tiny.noise(10.0, 44_100), 44_100)
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{os.cpu_count()} cores, load {load}; torch uses {torch.get_num_threads()} threads")
    print(f"model {embedder.name}; {options.clips} clips\n")
    print(f"{'milliseconds':44} {'calls':>6} {'p50':>9} {'p95':>9} {'p99':>9}")
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary) / "library"
        fill(folder, embedder, options.clips)
        in_process(embedder, folder, sound)
        begun = time.perf_counter()
        arguments = ("--library", folder, "--model", options.model)
        with serving(Path(temporary) / "log", *arguments, anew=True, OMP_NUM_THREADS="") as server:
            started = time.perf_counter() - begun
            process = psutil.Process(server.process.pid)
            fresh = process.memory_info().rss
            over_http(server, sound)
            used = process.memory_info().rss
            print(f"\n{'start to first answer':44} {started:9.2f} s")
            print(f"{'resident memory after start':44} {fresh / 1e6:9.0f} MB")
            print(f"{'resident memory after these calls':44} {used / 1e6:9.0f} MB")


if __name__ == "__main__":
    main()
