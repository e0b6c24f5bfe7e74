"""The manifest of a set of sounds: the CSV format that training and the library read.

The header is `path,tags`, and optionally
`id,title,description,recorded,group,source,split,licence,author,class,fold`, and `fsID`, the
Freesound id of the source; in any order, any case, and with blanks around. Tags are separated by
spaces, `;` or `,`; without the column `tags`, the words of `class` are the tags. `recorded` is a
date of ISO 8601. Relative paths start at the manifest's folder.

Spreadsheets write the same in their own ways, and all are read: cells separated by `,`, `;` or tabs
(the header shows which), UTF-8 or UTF-16 with a byte-order mark, another encoding where the caller
names it, and empty rows and columns around the table. An apostrophe before a `=`, `+`, `-` or `@`
that begins a cell only keeps spreadsheets from computing it, and is no part of it (`safe_cell`).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.model.core.errors import ManifestError

FILE_NAME = "manifest.csv"

_SEPARATORS = (",", ";", "\t")
# What a spreadsheet may compute, and what keeps it from that.
_FORMULA = re.compile("'*[=+\\-@\t\r]")
_MARKS = (  # the longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # how a spreadsheet names its own


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
    recorded: str = ""


def read_manifest(path: Path, encoding: str | None = None) -> list[ManifestRow]:
    """The rows of a manifest, or of `manifest.csv` in a folder.

    `encoding`: of a file without a byte-order mark, such as "latin-1"; None for UTF-8.
    Raises ManifestError if it cannot be read, lacks a column or names no sound.
    """
    file, data = _read(path)
    text = _decode(file, data, encoding)
    records = _records(file, text)
    number, header = next(records, (1, []))
    columns = _columns(file, number, header)
    rows = [_row(file, number, _cells(file, number, columns, cells)) for number, cells in records]
    if not rows:
        raise ManifestError(f"{file}: expected at least one sound, got none")
    return rows


def _read(path: Path) -> tuple[Path, bytes]:
    """The manifest's file and its bytes. Only a regular file is read: others might never end."""
    file = path
    try:
        if path.is_dir():
            file = path / FILE_NAME
        if not stat.S_ISREG(file.stat().st_mode):
            raise ManifestError(f"{file}: cannot be read (not a file)")
        return file, file.read_bytes()
    except OSError as error:
        raise ManifestError(f"{file}: cannot be read ({error.strerror})") from error


def _decode(file: Path, data: bytes, encoding: str | None) -> str:
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    name = marked or encoding or "utf-8"
    if not marked and not encoding and b"\0" in data[:2]:
        raise ManifestError(
            f"{file}: expected text in UTF-8, got UTF-16 without a byte-order mark "
            "(its encoding can be named: utf-16-le or utf-16-be)"
        )
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(name, errors="ignore")
        raise ManifestError(
            f"{file}: line {_lines(before) + 1}: expected text in {name.upper()}, got the byte "
            f"0x{data[error.start]:02x} (its encoding can be named, such as latin-1)"
        ) from error
    except (LookupError, ValueError) as error:
        raise ManifestError(
            f"encoding: expected the name of one, such as latin-1, got {name[:60]!r}"
        ) from error


def _lines(text: str) -> int:
    """The number of line ends."""
    return len(re.findall(r"\r\n|\r|\n", text))


def safe_cell(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula: an apostrophe goes before one that
    begins as formulas do. Reading a manifest takes it away again."""
    return f"'{text}" if _FORMULA.match(text) else text


def _plain_cell(cell: str) -> str:
    """The text in a cell; the inverse of `safe_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cells(file: Path, number: int, columns: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """A record's cells by column. Raises ManifestError where it has more than there are columns."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise ManifestError(
            f"{file}: line {number}: expected at most {len(columns)} cells, got {len(cells)} "
            "(put a cell that holds the separator in quotes)"
        )
    return dict(zip(columns, map(_plain_cell, cells), strict=False))


def _records(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not empty, each with the number of the line where it begins."""
    lines = io.StringIO(text, newline="")
    first = lines.readline()
    named = _SEPARATOR_LINE.fullmatch(first)
    skipped = 1 if named else 0
    if not named:
        lines.seek(0)
    separator = named[1] if named else _separator(text)
    reader = csv.reader(lines, delimiter=separator)
    number, offset = 1, lines.tell()
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number + skipped, cells
            if lines.tell() < len(text):
                number, offset = reader.line_num + 1, lines.tell()
        if reader.line_num > number:  # the last record has several lines
            _check_quotes(text[offset:], separator)
    except csv.Error as error:
        raise ManifestError(f"{file}: line {number + skipped}: not a CSV file ({error})") from error


def _check_quotes(record: str, separator: str) -> None:
    """Raise csv.Error where a quote is opened and never closed: the rest was read as one cell."""
    list(csv.reader(io.StringIO(record, newline=""), delimiter=separator, strict=True))


def _separator(text: str) -> str:
    """What separates the cells: that which makes most column names of the first line that has any;
    a comma where none does."""
    header = next((line for line in io.StringIO(text, newline="") if line.strip(" ,;\t\r\n")), "")

    def count_of_known(separator: str) -> int:
        return len(
            KNOWN & {_column(name) for name in next(csv.reader([header], delimiter=separator))}
        )

    try:
        return max(_SEPARATORS, key=count_of_known)
    except csv.Error:
        return ","


def _column(name: str) -> str:
    """The name of a column as it is compared: without case and blanks around."""
    return name.strip("\ufeff\u200b \t\r\n\xa0").casefold()


KNOWN = frozenset(
    _column(name)
    for name in (
        *("path", "tags", "class", "id", "title", "description", "recorded", "group"),
        *("source", "split", "licence", "author", "fold", "fsID"),
    )
)


def _columns(file: Path, number: int, header: list[str]) -> list[str]:
    """The columns' names as they are compared. Raises ManifestError."""
    columns = [_column(name) for name in header]
    if "path" not in columns or not {"tags", "class"} & set(columns):
        names = ", ".join(name.strip() for name in header if name.strip())
        raise ManifestError(
            f"{file}: line {number}: expected the columns path and tags (or class), got "
            f"{names or 'an empty file'}"
        )
    for name in sorted(KNOWN):
        if columns.count(name) > 1:
            raise ManifestError(
                f"{file}: line {number}: expected one column {name}, got {columns.count(name)}"
            )
    return columns


def _row(file: Path, number: int, row: dict[str, str]) -> ManifestRow:
    def text(column: str) -> str:
        return row.get(column, "").strip()

    if not text("path") or "\0" in text("path"):
        raise ManifestError(f"{file}: line {number}: expected a path, got {text('path')!r}")
    words = (
        re.split(r"[;,\s]+", text("tags")) if "tags" in row else re.split(r"[\W_]+", text("class"))
    )
    return ManifestRow(
        path=file.parent / text("path"),
        tags=tuple(tag for tag in words if tag),
        title=text("title"),
        group=text("group") or text("source") or text("fsid") or text("path"),
        source=text("source"),
        split=text("split"),
        licence=text("licence"),
        author=text("author"),
        label=text("class"),
        fold=text("fold"),
        id=text("id"),
        description=text("description"),
        recorded=text("recorded"),
    )
