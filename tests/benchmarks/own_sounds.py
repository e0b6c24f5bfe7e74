"""A collection to fine-tune on, as an example: `python -m tests.benchmarks.own_sounds DATA OUT`.

The packages of the starter model's corpus that it was not trained on. Their clips are split by a
hash of the file name without its number (`swordhit_13a` → `swordhit`), so that takes of one sound
never stand in two splits: about half train, a sixth validate, a third test. Writes a manifest.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

from earmark.model.checkpoint import load
from earmark.model.core.manifest import ManifestRow
from earmark.model.model_files import starter_model
from earmark.training.corpora.detect import read_corpus

NUMBER = re.compile(r"[\d_\-a-d]*$")
TEST, VALIDATION = 77, 115  # of 256


def kind(row: ManifestRow) -> str:
    """The part of a clip's path that takes of one sound share."""
    return f"{row.group}/{NUMBER.sub('', row.path.stem.lower())}"


def split(kind: str) -> str:
    """The split, by a hash of the kind."""
    byte = hashlib.sha256(kind.encode()).digest()[0]
    return "test" if byte < TEST else "validation" if byte < VALIDATION else "train"


def main() -> None:
    """Write the manifest, and print how many clips each split has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    validation_groups = set(load(starter_model()).card["validation_groups"])
    rows = [row for row in read_corpus(options.data) if row.group in validation_groups]
    with options.out.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "tags", "group", "split"])
        lines.writerows([row.path, " ".join(row.tags), kind(row), split(kind(row))] for row in rows)
    print(dict(Counter(split(kind(row)) for row in rows)))


if __name__ == "__main__":
    main()
