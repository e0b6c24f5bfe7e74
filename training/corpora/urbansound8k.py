"""UrbanSound8K (Salamon, Jacoby, Bello 2014): 8,732 clips of 10 classes in 10 given folds.

Layout: `metadata/UrbanSound8K.csv`, `audio/foldN/*.wav`. Clips of one Freesound recording
(`fsID`) are one group. Tags are the Freesound users' own with `US8K_tags.json` (recording id →
tags), else the words of the class.
"""

from __future__ import annotations

from pathlib import Path

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.files import read_table, read_tags, require_files

TABLE = Path("metadata/UrbanSound8K.csv")
TAGS = "US8K_tags.json"
COLUMNS = ("slice_file_name", "fsID", "fold", "class")


def read(root: Path) -> list[ManifestRow]:
    """All clips. Raises CorpusError, naming missing files."""
    tags = read_tags(root / TAGS) if (root / TAGS).exists() else {}
    rows = [
        ManifestRow(
            path=root / "audio" / f"fold{row['fold']}" / row["slice_file_name"],
            tags=tuple(tags.get(row["fsID"]) or row["class"].split("_")),
            group=row["fsID"],
            label=row["class"],
            fold=row["fold"],
        )
        for row in read_table(root / TABLE, COLUMNS)
    ]
    return require_files(rows, "UrbanSound8K")
