"""How sure a search of the demo library is: `python -m tests.confidence [--model PATH] [--by-ear]`.

`data/everyday.csv` are 100 queries that the demo sounds answer, `data/absent.csv` 50 of things that
no demo sound holds; both were written down before anything was measured on them. Prints how many of
the first have a right hit that is sure or maybe, for how many of the second nothing is sure, and
how many hits of each confidence are right; `--by-ear` takes titles and tags away first.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from earmark.index.library import Library
from earmark.index.types import Confidence, Hit
from tests.everyday import DATA, QUERIES, demo

ABSENT = DATA / "absent.csv"
DEPTH = 10
ORDER: tuple[Confidence, ...] = ("sure", "maybe", "unlikely")


@dataclass(frozen=True)
class Sureness:
    """A query, its first hits, how sure they are, and which of them are right."""

    query: str
    hits: list[Hit]
    right: list[bool]

    @property
    def best(self) -> Confidence:
        """Of the hits."""
        return min((hit.confidence or "unlikely" for hit in self.hits), key=ORDER.index)

    @property
    def best_right(self) -> Confidence:
        """Of the right hits; "unlikely" where there is none."""
        pairs = zip(self.hits, self.right, strict=True)
        right = [hit.confidence or "unlikely" for hit, is_right in pairs if is_right]
        return min(right, key=ORDER.index, default="unlikely")


def judge(library: Library, queries: Path) -> list[Sureness]:
    """All queries of a file, searched for as the page does."""
    with queries.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    judged = []
    for row in rows:
        hits = library.search(row["query"], DEPTH).hits
        patterns = row.get("right", "").split()
        names = [Path(hit.clip.path).stem for hit in hits]
        right = [any(fnmatch(name, pattern) for pattern in patterns) for name in names]
        judged.append(Sureness(row["query"], hits, right))
    return judged


def _print(everyday: Sequence[Sureness], absent: Sequence[Sureness]) -> None:
    for each in everyday:
        print(f"{each.best_right:8}  {each.query:22}", _hits(each))
    for each in absent:
        print(f"{each.best:8}  {each.query:22}", _hits(each))
    answered = Counter(each.best_right for each in everyday)
    print(f"\nright hits of {len(everyday)} everyday queries at best: {dict(answered)}")
    print(f"hits of {len(absent)} absent things at best: {dict(Counter(e.best for e in absent))}")
    for name in ORDER:
        right = [
            is_right
            for each in everyday
            for hit, is_right in zip(each.hits, each.right, strict=True)
            if hit.confidence == name
        ]
        wrong = sum(hit.confidence == name for each in absent for hit in each.hits)
        share = sum(right) / max(len(right), 1)
        print(f"{name:8}  {share:6.1%} of {len(right)} hits are right; {wrong} of absent things")


def _hits(each: Sureness) -> str:
    pairs = zip(each.hits[:4], each.right, strict=False)
    return "  ".join(
        f"{'+' if right else '.'}{hit.probability:.2f} {Path(hit.clip.path).stem}"
        for hit, right in pairs
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--by-ear", action="store_true", help="without titles and tags")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder), options.model, by_ear=options.by_ear) as library,
    ):
        _print(judge(library, QUERIES), judge(library, ABSENT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
