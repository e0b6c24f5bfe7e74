"""100 everyday queries over the demo library: `python -m tests.everyday [--model PATH]`.

`data/everyday.csv` was written before any model was trained for it: the query, and the sounds that
are right for it, judged by what their titles say is heard. More than half of the queries hold no
word that is a tag of the training sounds. Prints each query's first hits and how many are right.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.checkpoint import starter_model
from earmark.model.embedder import Embedder
from earmark.service.demo import demo_sounds

QUERIES = Path(__file__).with_name("data") / "everyday.csv"
DEPTH = 5


@dataclass(frozen=True)
class Judged:
    """A query, its first hits, and which of them are right."""

    query: str
    hits: list[str]
    right: list[bool]


def judge(library: Library) -> list[Judged]:
    """All queries, searched for as the page does."""
    with QUERIES.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    judged = []
    for row in rows:
        hits = library.search(row["query"], DEPTH).hits
        names = [Path(hit.clip.path).stem for hit in hits]
        right = [any(fnmatch(name, one) for one in row["right"].split()) for name in names]
        judged.append(Judged(row["query"], names, right))
    return judged


def demo(folder: Path, model: Path | None) -> Library:
    """The demo sounds, embedded by a model; None: the starter model."""
    embedder = Embedder.load(model or starter_model())
    library = Library.open(folder, embedder, create=True)
    add(library, [demo_sounds() / "manifest.csv"])
    return library


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder), options.model) as library:
        judged = judge(library)
    for each in judged:
        marks = "".join("+" if right else "." for right in each.right)
        print(f"{marks:<{DEPTH}}  {each.query:<22} {' '.join(each.hits)}")
    first = sum(each.right[:1] == [True] for each in judged)
    print(f"right: first {first}, within {DEPTH} {sum(any(each.right) for each in judged)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
