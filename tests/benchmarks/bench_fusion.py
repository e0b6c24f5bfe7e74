"""Fused search beside vectors and words alone: `python -m tests.benchmarks.bench_fusion DATA`.

DATA: a folder with a manifest, of which the clips of the groups that validated the starter model
are taken: it did not train on them. Of each clip's tags a half, drawn at random, is written into
the library and its title says nothing: the other half can only be heard. Queries are the tags of
at least five clips and pairs of tags that stand together on at least five, in words that the model
knows; relevant are clips that truly carry all of them. Prints mAP@10 of the three, and of fusions
with other weights of the words.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.ingest import local
from earmark.index.lexical.stemming import stems
from earmark.index.library import Library
from earmark.index.search import fusion
from earmark.model.core.manifest import read_manifest
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model

MIN_CLIPS, MOST_PAIRS, NEAREST = 5, 400, 10
WEIGHTS = (1, 2, 4, 8, 16)
Query = tuple[str, ...]


def average_precision(ranked: Sequence[int], relevant: set[int]) -> float:
    """AP@10."""
    hits, total = 0, 0.0
    for rank, row in enumerate(ranked[:NEAREST], start=1):
        if row in relevant:
            hits += 1
            total += hits / rank
    return total / min(NEAREST, len(relevant))


def queries(embedder: Embedder, carried: dict[int, set[str]]) -> dict[str, list[Query]]:
    """Tags, and pairs of tags."""
    known = {
        tag for own in carried.values() for tag in own
        if embedder.words.certain_vector(tag) is not None
    }  # fmt: skip
    asked: dict[str, list[Query]] = {}
    for name, size in (("tags", 1), ("pairs of tags", 2)):
        counts = Counter(
            each for own in carried.values() for each in itertools.combinations(sorted(own), size)
        )
        found = sorted(
            each
            for each, count in counts.items()
            if MIN_CLIPS <= count < len(carried) and known.issuperset(each)
        )
        random.Random(0).shuffle(found)
        asked[name] = found[:MOST_PAIRS]
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    embedder = load_embedder(starter_model())
    groups = set(embedder.card["validation_groups"])
    rows = [row for row in read_manifest(parser.parse_args().data) if row.group in groups]
    chance = random.Random(0)
    tags, origins = {}, []
    for number, row in enumerate(rows):
        path = row.path.resolve()
        tags[str(path)] = set(row.tags)
        shown = tuple(tag for tag in dict.fromkeys(row.tags) if chance.random() < 0.5)
        origins.append(SourceFile(path, Metadata(f"{number}", shown or ("-",))))
    with (
        tempfile.TemporaryDirectory() as folder,
        Library.open(Path(folder), embedder, create=True) as library,
    ):
        for lot in local.embed(embedder, origins):
            library.add(lot.sounds, lot.failed)
        library.refresh()
        carried = {clip.row: tags[clip.path] for clip in library.catalogue.clips()}

        def vectors(query: Query) -> list[int]:
            vector = embedder.embed_tags([query])[0]
            return library.store.search(vector, NEAREST)[0].tolist()

        def words(query: Query) -> list[int]:
            return library.store.match(list(stems(" ".join(query))), NEAREST)[0].tolist()

        def fused(query: Query) -> list[int]:
            return [hit.clip.row for hit in library.search(" ".join(query), NEAREST).hits]

        def score(asked: Sequence[Query], search: Callable[[Query], list[int]]) -> float:
            return float(
                np.mean(
                    [
                        average_precision(
                            search(query),
                            {row for row, own in carried.items() if own.issuperset(query)},
                        )
                        for query in asked
                    ]
                )
            )

        shipped = fusion.WORDS
        for name, asked in queries(embedder, carried).items():
            print(f"{len(carried)} clips, {len(asked)} {name}: mAP@{NEAREST}")
            for search in (vectors, words, fused):
                print(f"  {search.__name__:24} {score(asked, search):.4f}", flush=True)
            for weight in WEIGHTS:
                fusion.WORDS = weight
                print(f"  fused, words weigh {weight:<5} {score(asked, fused):.4f}", flush=True)
            fusion.WORDS = shipped


if __name__ == "__main__":
    main()
