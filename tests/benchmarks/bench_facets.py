"""Facets of a million clips: `python -m tests.benchmarks.bench_facets [CLIPS] [FOLDER]`.

Made-up clips of a tiny model: five tags each, by Zipf's law over 50,000; 12 licences, 200 sources,
600 categories, six sample rates, added over four years. Times are of whole calls, in milliseconds:
facets of all, under filters, and of words; then pages of the list in each order, first and deep.
Also the memory of the columns that facets and filters need beside those of words. The folder is
kept: a second run opens it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from earmark.index.facets import count_facets
from earmark.index.library import Library
from earmark.index.listing import ORDERS, list_clips
from earmark.index.search.query import parse
from earmark.index.types import Filter, SearchRequest
from earmark.model.encoders.load import load_embedder
from tests.index.made import save_model

RUNS, BLOCK = 15, 50_000


def fill(library: Library, clips: int) -> None:
    """Rows as the catalogue writes them, but all at once."""
    generator = np.random.default_rng(0)
    dim = library.embedder.dim
    zipf = 1 / np.arange(1, 50_001)
    tags = generator.choice(50_000, (clips, 5), p=zipf / zipf.sum())
    vectors = generator.standard_normal((clips, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seconds = generator.lognormal(2, 1.5, clips)
    levels = generator.normal(-25, 8, clips)
    days = np.sort(generator.integers(0, 1_461, clips))
    dates = [str(np.datetime64("2022-12-01") + day) for day in range(1_461)]
    rates = (8_000, 22_050, 44_100, 48_000, 96_000, 192_000)
    with library.catalogue.write() as writer:
        for first in range(0, clips, BLOCK):
            writer._db.executemany(
                "INSERT INTO clips (id, path, size, mtime_ns, sha256, title, tags, author, source, "
                "licence, duration, sample_rate, channels, loudness, category, added_at, "
                "changed_at, generation, vector) VALUES "
                "(?, ?, 1, 1, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?)",
                (
                    (
                        f"clip-{number}",
                        f"/sounds/{number}.wav",
                        f"{number:064x}",
                        f"sound {tags[number, 0]} no {number}",
                        " ".join(f"tag{tag}" for tag in tags[number]),
                        f"source {number % 199}",
                        f"licence {number % 12}",
                        float(seconds[number]),
                        rates[number % 6],
                        1 + number % 2,
                        float(levels[number]) if number % 10 else None,
                        f"CATEsub{number % 600}" if number % 3 else "",
                        f"{dates[days[number]]}T10:00:00+00:00",
                        writer.generation,
                        vectors[number].tobytes(),
                    )
                    for number in range(first, min(first + BLOCK, clips))
                ),
            )


def measure(what: str, call: Callable[[], object]) -> None:
    """Print the times of a call, and the CPU time of its thread."""
    taken, cpu = [], []
    for _ in range(RUNS):
        begun, cpu_begun = time.perf_counter(), time.thread_time()
        call()
        taken.append(1000 * (time.perf_counter() - begun))
        cpu.append(1000 * (time.thread_time() - cpu_begun))
    print(f"{what:48} first {taken[0]:8.1f}  p50 {np.median(taken):7.1f}  "
          f"max of the rest {max(taken[1:]):7.1f}  CPU {np.median(cpu):6.1f} ms",
          flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="?", type=int, default=1_000_000)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "earmark-facets"
    )
    options = parser.parse_args()
    folder = options.folder / str(options.clips)
    embedder = load_embedder(save_model(options.folder / "model"))
    with Library.open(folder, embedder, create=True) as library:
        if not library.catalogue.count():
            fill(library, options.clips)
        library.refresh()
        library.store.wait_until_idle()
        (columns, _), *_ = library.columns()[1]
        own = (columns.loudness, columns.added, columns.sample_rates.codes, columns.channels.codes)
        own += (columns.categories.codes,)
        facts = sum(each.nbytes for each in own) / 1e6
        print(f"columns: {columns.nbytes() / 1e6:.0f} MB in all; {facts:.0f} MB of them loudness, "
              "dates, sample rates, channels and categories")  # fmt: skip
        wheres = {
            "all": Filter(),
            "a licence, a source": Filter(licences=("licence 3",), sources=("source 5",)),
            "seconds, loudness, dates, rates": Filter(
                max_duration=10, min_loudness=-30, added_after="2024", sample_rates=(48_000,)
            ),
            "a frequent tag": Filter(all_tags=("tag0",)),
        }
        for name, where in wheres.items():
            measure(
                f"facets, {name}",
                lambda where=where: count_facets(library, SearchRequest(where=where), 20),
            )
        for words in ("tag3", "tag0 tag9"):
            measure(
                f"facets of words, {words}",
                lambda words=words: count_facets(library, SearchRequest(parse(words)), 20),
            )
        for order in ORDERS:
            for name, where in list(wheres.items())[:2]:
                page = list_clips(library, 100, where, order)
                measure(
                    f"list by {order}, {name}, a second page",
                    lambda order=order, where=where, next=page.next: list_clips(
                        library, 100, where, order, next
                    ),
                )


if __name__ == "__main__":
    main()
