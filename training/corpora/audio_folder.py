"""Hugging Face's audio folders with a folder for each split, such as `train/metadata.csv`.

An audio folder that holds its metadata itself is a manifest (`model.core.manifest`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from earmark.model.core.manifest import ManifestRow, in_folder, read_manifest

# The folders' names that `datasets` knows → the split.
SPLIT_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def read(data: Path) -> list[ManifestRow]:
    """The clips of all splits in a folder; none where it has no such folders.

    A split in the metadata counts more than the folder's name. Raises ManifestError.
    """
    rows = []
    for name, split in SPLIT_OF.items():
        folder = data / name
        if in_folder(folder) is None:
            continue
        for row in read_manifest(folder):
            is_alone = folder / row.group == row.path  # equal names in two splits are two sounds
            group = f"{name}/{row.group}" if is_alone else row.group
            rows.append(replace(row, split=row.split or split, group=group))
    return rows
