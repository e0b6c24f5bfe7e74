"""A corpus of one's own: a CSV manifest beside the sounds.

Header `path,tags`, and optionally `title,group,source,split,licence,class,fold`; tags are
separated by spaces or `;`; relative paths start at the manifest. Clips that share a `group`
(else `source`) never stand on both sides of a split: takes of one source are near-identical.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import CorpusError

FILE_NAME = "manifest.csv"
SPLITS = ("train", "validation")
VALIDATION_SHARE = 8  # one group in so many validates


@dataclass(frozen=True)
class CorpusClip:
    """One labelled sound. `label` is the class of a classification corpus, else empty."""

    path: Path
    tags: tuple[str, ...]
    group: str
    split: str = ""
    label: str = ""
    fold: str = ""


def read_manifest(path: Path) -> list[CorpusClip]:
    """The clips of a manifest, or of the `manifest.csv` in a folder. Raises CorpusError."""
    file = path / FILE_NAME if path.is_dir() else path
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            columns = set(reader.fieldnames or ())
            if "path" not in columns or not columns & {"tags", "class"}:
                raise CorpusError(
                    f"{file}: expected the columns path and tags (or class), "
                    f"got {', '.join(reader.fieldnames or ()) or 'an empty file'}"
                )
            clips = [_clip(file, number, row) for number, row in enumerate(reader, start=2)]
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{file}: not a CSV file in UTF-8 ({error})") from error
    if not clips:
        raise CorpusError(f"{file}: expected at least one clip, got none")
    return clips


def _clip(file: Path, number: int, row: dict[str, str | None]) -> CorpusClip:
    name = (row.get("path") or "").strip()
    if not name:
        raise CorpusError(f"{file}: line {number}: path is empty")
    split = (row.get("split") or "").strip()
    if split and split not in SPLITS:
        raise CorpusError(
            f"{file}: line {number}: split: expected {' or '.join(SPLITS)}, got {split!r}"
        )
    return CorpusClip(
        path=file.parent / name,
        tags=tuple(tag for tag in re.split(r"[;\s]+", row.get("tags") or "") if tag),
        group=(row.get("group") or row.get("source") or name).strip(),
        split=split,
        label=(row.get("class") or "").strip(),
        fold=(row.get("fold") or "").strip(),
    )


def split_clips(
    clips: Sequence[CorpusClip],
) -> tuple[list[CorpusClip], list[CorpusClip]]:
    """(train, validation): by the `split` column where it is filled, else by group.

    Groups are dealt by a hash of their name, so adding sounds later moves no other group.
    """
    train = [clip for clip in clips if _split_of(clip) == "train"]
    validation = [clip for clip in clips if _split_of(clip) == "validation"]
    if not train or not validation:
        raise CorpusError(
            f"split: expected clips to train and to validate, got {len(train)} and "
            f"{len(validation)} of {len({clip.group for clip in clips})} groups"
        )
    return train, validation


def _split_of(clip: CorpusClip) -> str:
    if clip.split:
        return clip.split
    digest = hashlib.sha256(clip.group.encode()).digest()
    return "validation" if digest[0] % VALIDATION_SHARE == 0 else "train"
