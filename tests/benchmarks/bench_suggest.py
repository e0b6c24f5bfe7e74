"""Suggestions for a whole library and their review: `python -m tests.benchmarks.bench_suggest`.

The starter model, and a library of 1,000,000 clips that never were (`--clips`), whose vectors are
drawn as its background says that those of sounds lie. Prints how long computing all suggestions
takes, wall and processor, the longest write transaction, memory before and after, and what one
page of review costs.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.curation import review, suggestions
from earmark.index.curation.review import ReviewRequest
from earmark.index.curation.verdicts import Verdict, judge
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.index.made import new_clip

BLOCK = 10_000
PAGE = 25


def fill(folder: Path, embedder: Embedder, count: int) -> None:
    """The library."""
    generator, background = np.random.default_rng(0), embedder.background
    assert background is not None, "the starter model states one"
    spread = np.linalg.cholesky(background.covariance + 1e-6 * np.eye(embedder.dim))
    catalogue = Catalogue.create(folder, embedder.fingerprint, embedder.dim)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        vectors = background.mean + generator.standard_normal((size, embedder.dim)) @ spread.T
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        with catalogue.write() as writer:
            for number, vector in enumerate(vectors.astype(np.float32), start=first):
                writer.put(new_clip(f"{number}", number, vector=vector, tags=()))
    catalogue.close()


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints how long something takes."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(f"{what:36} {wall:9.3f} s, {processor:9.3f} s of a core", flush=True)


def watched(catalogue: Catalogue) -> Callable[[], float]:
    """The seconds of the longest write transaction from now on."""
    longest, transaction = 0.0, catalogue.database.transaction

    @contextmanager
    def timed_transaction() -> Iterator[object]:
        nonlocal longest
        with transaction() as db:
            begun = time.perf_counter()
            yield db
        longest = max(longest, time.perf_counter() - begun)

    catalogue.database.transaction = timed_transaction  # type: ignore[method-assign, assignment]
    return lambda: longest


def review_pages(library: Library) -> None:
    """What one page costs."""
    with timed("tags"):
        tags = review.tag_reviews(library)
    print(f"  {sum(tag.waiting for tag in tags):,} wait; {tags[0].waiting:,} of {tags[0].tag}")
    request = ReviewRequest(tag=tags[0].tag, k=PAGE, holder="one")
    with timed(f"lease {PAGE} of {tags[0].tag}"):
        page = review.lease(library, request)
    with timed(f"lease {PAGE} sounds"):
        review.lease(library, ReviewRequest(k=PAGE, holder="two"))
    pairs = [(sound.clip.id, request.tag) for sound in page.sounds]
    with timed(f"reject {PAGE}"):
        judge(library, [Verdict(*pair, "reject") for pair in pairs])
    with timed(f"accept {PAGE}"):
        judge(library, [Verdict(*pair, "accept") for pair in pairs])


def main() -> None:
    """Measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    clips = parser.parse_args().clips
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    embedder = load_embedder(starter_model())
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary) / "library"
        fill(folder, embedder, clips)
        with Library.open(folder, embedder) as library:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            longest = watched(library.catalogue)
            suggestions.ask(library)
            with timed(f"{clips:,} sounds"):
                suggestions.Suggesting(library).run()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(f"  longest write {longest():.3f} s; {before / 1e3:.0f} → {after / 1e3:.0f} MB")
            review_pages(library)


if __name__ == "__main__":
    main()
