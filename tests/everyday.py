"""Everyday queries over the demo library: `python -m tests.everyday [--model PATH] [--by-ear]`.

`data/everyday.csv` (100 English queries) and `data/sentences.csv` (60 sentences in six languages)
were written before any model was trained for them: the query, and the sounds that are right for it,
judged by what their titles say is heard. More than half of the queries hold no word that is a tag
of the training sounds. Prints each query's first hits and how many are right; `--by-ear` takes the
sounds' titles and tags away first.
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
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.service.demo import demo_sounds

DATA = Path(__file__).with_name("data")
QUERIES, SENTENCES = DATA / "everyday.csv", DATA / "sentences.csv"
DEPTH = 5


@dataclass(frozen=True)
class Judged:
    """A query, its first hits, and which of them are right."""

    query: str
    hits: list[str]
    right: list[bool]


def judge(library: Library, queries: Path = QUERIES) -> list[Judged]:
    """All queries of a file, searched for as the page does."""
    with queries.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    judged = []
    for row in rows:
        hits = library.search(row["query"], DEPTH).hits
        names = [Path(hit.clip.path).stem for hit in hits]
        right = [any(fnmatch(name, one) for one in row["right"].split()) for name in names]
        judged.append(Judged(row["query"], names, right))
    return judged


def demo(folder: Path, model: Path | None, *, by_ear: bool = False) -> Library:
    """The demo sounds, embedded by a model; None: the starter model. `by_ear`: without words."""
    embedder = load_embedder(model or starter_model())
    library = Library.open(folder / "library", embedder, create=True)
    manifest = demo_sounds() / "manifest.csv"
    add(library, [_without_words(manifest, folder / "manifest.csv") if by_ear else manifest])
    return library


def _without_words(manifest: Path, path: Path) -> Path:
    """A copy of a manifest at `path`, with numbers for titles and no tags."""
    with manifest.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, ("path", "title", "tags"))
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow({"path": manifest.parent / row["path"], "title": number, "tags": ""})
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--by-ear", action="store_true", help="without titles and tags")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder), options.model, by_ear=options.by_ear) as library,
    ):
        for queries in (QUERIES, SENTENCES):
            _show(queries.stem, judge(library, queries))
    return 0


def _show(title: str, judged: list[Judged]) -> None:
    """Print each query's hits, and how many queries are right."""
    for each in judged:
        marks = "".join("+" if right else "." for right in each.right)
        print(f"{marks:<{DEPTH}}  {each.query:<22} {' '.join(each.hits)}")
    first, within = (sum(any(each.right[:k]) for each in judged) for k in (1, DEPTH))
    print(f"{title}: of {len(judged)} right: first {first}, within {DEPTH} {within}\n")


if __name__ == "__main__":
    sys.exit(main())
