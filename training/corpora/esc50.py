"""ESC-50 (Piczak 2015): 2,000 clips of 50 classes in 5 given folds; ESC-10 is 10 of the classes.

Layout: `meta/esc50.csv`, `audio/*.wav`. Clips of one recording (`src_file`) are one group.
"""

from __future__ import annotations

from pathlib import Path

from earmark.model.core.manifest import ManifestRow
from earmark.training.corpora.files import read_table, require_files

TABLE = Path("meta/esc50.csv")
COLUMNS = ("filename", "fold", "category", "esc10", "src_file")


def read(root: Path, *, only_esc10: bool = False) -> list[ManifestRow]:
    """All clips, or those of ESC-10. Raises CorpusError, naming missing files."""
    rows = [
        ManifestRow(
            path=root / "audio" / row["filename"],
            tags=tuple(row["category"].split("_")),
            group=row["src_file"],
            label=row["category"],
            fold=row["fold"],
        )
        for row in read_table(root / TABLE, COLUMNS)
        if not only_esc10 or row["esc10"].lower() == "true"
    ]
    return require_files(rows, "ESC-50")
