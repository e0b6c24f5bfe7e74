"""What the name of a sound's file tells: a title, or what the Universal Category System puts there.

Names of that system are `CatID_FXName_CreatorID_SourceID.wav`, with anything behind after another
underscore: `AMBForst_Morning Birds_JD_NONE.wav`. The CatID is a category in capitals and a
subcategory as a word, run together; a user's own category may follow a hyphen. There is no table of
the system's categories here: a name counts as one of its names by its form alone.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from earmark.index.catalogue.metadata import (
    UNTITLED,
    Metadata,
    clean_line,
    title_from_file_name,
)

# Strict, so that other names with underscores are none of the system.
_CATEGORY = re.compile(r"([A-Z]{3,6}[a-z]{1,7})(-[^_]*)?")
_CREATOR = re.compile(r"(?=.*[A-Za-z])[^_]{1,60}")
_NONE = "none"


@dataclass(frozen=True)
class UcsName:
    """What a name of the Universal Category System tells; empty where it says NONE."""

    category: str
    title: str
    author: str
    source: str


def read_ucs_name(file_name: str) -> UcsName | None:
    """What a file's name tells, if it is one of the Universal Category System."""
    stem = PureWindowsPath(PurePosixPath(clean_line(file_name)).name).stem
    first, *parts = (part.strip() for part in stem.split("_"))
    found = _CATEGORY.fullmatch(first)
    if not found or len(parts) < 3 or not all(parts[:3]):
        return None
    title, creator, source = parts[:3]
    if not (any(map(str.isalpha, title)) and _CREATOR.fullmatch(creator)):
        return None
    return UcsName(
        category=found[1],
        title=title_from_file_name(title),
        author="" if creator.casefold() == _NONE else creator,
        source="" if source.casefold() == _NONE else source,
    )


def category_from_file_name(file_name: str) -> str:
    """The CatID in a name of the Universal Category System; empty in other names."""
    name = read_ucs_name(file_name)
    return name.category if name else ""


def metadata_from_file_name(file_name: str) -> Metadata:
    """A title, and in a name of the Universal Category System an author and a source too. Empty
    where the name holds no title."""
    name = read_ucs_name(file_name)
    if name and name.title:
        return Metadata(title=name.title, author=name.author, source=name.source).fitted()
    return Metadata(title=title_from_file_name(file_name))


def metadata_from_path(path: str) -> Metadata:
    """What the name of a path's file tells; with a title in any case."""
    return metadata_from_file_name(PurePath(path).name).with_defaults(Metadata(title=UNTITLED))


def fill_categories(db: sqlite3.Connection) -> str:
    """A step of the migrations: the categories that the names of clips' files tell."""
    paths = db.execute("SELECT row, path FROM clips").fetchall()
    found = [(category_from_file_name(PurePath(path).name), row) for row, path in paths]
    db.executemany(
        "UPDATE clips SET category = ? WHERE row = ?", [pair for pair in found if pair[0]]
    )
    return ""
