"""The manifest of a set of sounds: the CSV format that training and the library read.

The header is `path,tags`, and optionally
`id,title,description,group,source,split,licence,author,class,fold`, and `fsID`, the Freesound id of
the source. Tags are separated by spaces or `;`; without the column `tags`, the words of `class` are
the tags. Relative paths start at the manifest's folder.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from earmark.model.core.errors import ManifestError

FILE_NAME = "manifest.csv"


@dataclass(frozen=True)
class ManifestRow:
    """One sound. Missing text columns are empty; `label` is the column `class`."""

    path: Path
    tags: tuple[str, ...] = ()
    title: str = ""
    group: str = ""
    source: str = ""
    split: str = ""
    licence: str = ""
    author: str = ""
    label: str = ""
    fold: str = ""
    id: str = ""
    description: str = ""


def read_manifest(path: Path) -> list[ManifestRow]:
    """The rows of a manifest, or of `manifest.csv` in a folder.

    Raises ManifestError if it cannot be read, lacks a column or names no sound.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            columns = set(reader.fieldnames or ())
            if "path" not in columns or not columns & {"tags", "class"}:
                raise ManifestError(
                    f"{file}: expected the columns path and tags (or class), "
                    f"got {', '.join(reader.fieldnames or ()) or 'an empty file'}"
                )
            rows = [_row(file, number, row) for number, row in enumerate(reader, start=2)]
    except OSError as error:
        raise ManifestError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    if not rows:
        raise ManifestError(f"{file}: expected at least one sound, got none")
    return rows


def _row(file: Path, number: int, row: dict[str, str | None]) -> ManifestRow:
    def text(column: str) -> str:
        return (row.get(column) or "").strip()

    if not text("path") or "\0" in text("path"):
        raise ManifestError(f"{file}: line {number}: expected a path, got {text('path')!r}")
    words = (
        re.split(r"[;\s]+", text("tags")) if "tags" in row else re.split(r"[\W_]+", text("class"))
    )
    return ManifestRow(
        path=file.parent / text("path"),
        tags=tuple(tag for tag in words if tag),
        title=text("title"),
        group=text("group") or text("source") or text("fsID") or text("path"),
        source=text("source"),
        split=text("split"),
        licence=text("licence"),
        author=text("author"),
        label=text("class"),
        fold=text("fold"),
        id=text("id"),
        description=text("description"),
    )
