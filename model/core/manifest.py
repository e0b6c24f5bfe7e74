"""The manifest of a set of sounds: the table that training and the library read.

The columns are `path,tags`, and optionally
`id,title,description,recorded,group,source,split,licence,author,class,fold`, and `fsID`, the
Freesound id of the source; in any order, any case, and with blanks around. Tags are a list, or a
text separated by spaces, `;` or `,`; without the column `tags`, the words of `class` are the tags.
`recorded` is a date of ISO 8601. Relative paths start at the manifest's folder.

The name's ending shows the format: JSON lines (`.jsonl`), Parquet (`.parquet`), all others CSV. The
metadata of Hugging Face's `datasets` (AudioFolder) is a manifest too: there `path` is `file_name`,
and `tags`, `class`, `description` and `licence` may be `labels`, `label`, `caption` and `license`.

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earmark.model.core import record_files
from earmark.model.core.errors import ManifestError
from earmark.model.core.record_files import JSON_LINES, PARQUET, Cell

FILE_NAME = "manifest.csv"
# What stands for a folder, the first of them that is there.
FILE_NAMES = (FILE_NAME, "metadata.csv", "metadata.jsonl", "metadata.parquet")
SUFFIXES = frozenset((".csv", ".tsv", JSON_LINES, PARQUET))

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
    """The rows of a manifest, or of that in a folder (FILE_NAMES).

    `encoding`: of a text file without a byte-order mark, such as "latin-1"; None for UTF-8.
    Raises ManifestError if it cannot be read, lacks a column or names no sound.
    """
    try:
        file = (in_folder(path) or path / FILE_NAME) if path.is_dir() else path
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    suffix = file.suffix.lower()
    if suffix == PARQUET:
        _check_regular(file)
        rows = _parquet_rows(file)
    elif suffix == JSON_LINES:
        rows = _json_rows(file, _decode(file, _read(file), encoding))
    else:
        rows = _csv_rows(file, _decode(file, _read(file), encoding))
    if not rows:
        raise ManifestError(f"{file}: expected at least one sound, got none")
    return rows


def in_folder(folder: Path) -> Path | None:
    """The manifest that stands for a folder; None if it holds none."""
    return next((folder / name for name in FILE_NAMES if (folder / name).exists()), None)


def _csv_rows(file: Path, text: str) -> list[ManifestRow]:
    records = _records(file, text)
    number, header = next(records, (1, []))
    columns = _columns(file, f"line {number}", header)
    return [
        _row(file, f"line {line}", _cells(file, line, columns, cells)) for line, cells in records
    ]


def _json_rows(file: Path, text: str) -> list[ManifestRow]:
    records = list(record_files.json_records(file, text))
    names = list(dict.fromkeys(name for _, record in records for name in record))
    if records:
        _columns(file, records[0][0], names)
    wholes = ((place, {name: record.get(name) for name in names}) for place, record in records)
    return [_row(file, place, _known_cells(file, place, whole)) for place, whole in wholes]


def _parquet_rows(file: Path) -> list[ManifestRow]:
    header = record_files.parquet_columns(file)
    names = _columns(file, "schema", header)
    wanted = [name for name, column in zip(header, names, strict=True) if column in KNOWN]
    records = record_files.parquet_records(file, wanted)
    return [_row(file, place, _known_cells(file, place, record)) for place, record in records]


def _known_cells(file: Path, place: str, record: Mapping[str, object]) -> dict[str, Cell]:
    """A record's cells by known column. Raises ManifestError for what is no text."""
    cells: dict[str, Cell] = {}
    for name, value in record.items():
        column = _column(name)
        if column not in KNOWN:
            continue
        try:
            cells[column] = record_files.cell(value)
        except ValueError as error:
            raise ManifestError(f"{file}: {place}: {column}: expected text, got {error}") from error
    return cells


def _check_regular(file: Path) -> None:
    """Raise ManifestError for what is no regular file: others might never end."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ManifestError(f"{file}: cannot be read (not a file)")
    except OSError as error:
        raise ManifestError(f"{file}: cannot be read ({error.strerror})") from error


def _read(file: Path) -> bytes:
    """The file's bytes. Raises ManifestError."""
    _check_regular(file)
    try:
        return file.read_bytes()
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


def _cells(
    file: Path, number: int, columns: Sequence[str], cells: Sequence[str]
) -> dict[str, Cell]:
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


# Names of `datasets` → ours, where ours is not there.
_OTHER_NAMES = {
    "path": "file_name",
    "tags": "labels",
    "class": "label",
    "description": "caption",
    "licence": "license",
}
_TAGS = frozenset(("tags", "labels", "class", "label", "caption"))
KNOWN = frozenset(
    _column(name)
    for name in (
        *("path", "tags", "class", "id", "title", "description", "recorded", "group"),
        *("source", "split", "licence", "author", "fold", "fsID"),
        *_OTHER_NAMES.values(),
    )
)


def _columns(file: Path, place: str, header: list[str]) -> list[str]:
    """The columns' names as they are compared. Raises ManifestError."""
    columns = [_column(name) for name in header]
    if not {"path", "file_name"} & set(columns) or not _TAGS & set(columns):
        shown = ", ".join(name.strip() for name in header if name.strip())
        raise ManifestError(
            f"{file}: {place}: expected the columns path and tags (or class), got "
            f"{shown or 'an empty file'}"
        )
    for name in sorted(KNOWN):
        if columns.count(name) > 1:
            raise ManifestError(
                f"{file}: {place}: expected one column {name}, got {columns.count(name)}"
            )
    return columns


def _row(file: Path, place: str, row: Mapping[str, Cell]) -> ManifestRow:
    """One sound of its cells by column. Raises ManifestError."""

    def value(column: str) -> Cell:
        return row.get(column, row.get(_OTHER_NAMES.get(column, ""), ""))

    def text(column: str) -> str:
        found = value(column)
        if not isinstance(found, str):
            if column == "description":  # several captions
                return "\n".join(line.strip() for line in found).strip()
            raise ManifestError(f"{file}: {place}: {column}: expected text, got a list")
        return found.strip()

    if not text("path") or "\0" in text("path"):
        raise ManifestError(f"{file}: {place}: expected a path, got {text('path')!r}")
    has_tags = "tags" in row or "labels" in row
    tags: Sequence[str] | str = value("tags") if has_tags else re.split(r"[\W_]+", text("class"))
    if isinstance(tags, str):
        tags = re.split(r"[;,\s]+", tags)
    return ManifestRow(
        path=file.parent / text("path"),
        tags=tuple(tag.strip() for tag in tags if tag.strip()),
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
