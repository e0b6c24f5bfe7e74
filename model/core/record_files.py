"""Records in JSON lines and Parquet files: what tables in CSV say as text, with lists.

A record is a mapping of columns to values. A cell is a text, or a tuple of texts where the value is
a list; missing values (null, NaN) are empty texts, numbers and dates texts as people write them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from math import isnan
from pathlib import Path

from earmark.model.core.errors import ManifestError

JSON_LINES, PARQUET = ".jsonl", ".parquet"

Cell = str | tuple[str, ...]
Record = Mapping[str, object]


def json_records(file: Path, text: str) -> Iterator[tuple[str, Record]]:
    """The objects of JSON lines, each with its place, such as "line 3"; empty lines are skipped.

    Raises ManifestError for a line that is no object.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise ManifestError(
                f"{file}: line {number}: expected a JSON object, each name in it once"
            ) from error
        if not isinstance(record, dict):
            raise ManifestError(
                f"{file}: line {number}: expected a JSON object, got {_kind(record)}"
            )
        yield f"line {number}", record


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError
    return record


def parquet_columns(file: Path) -> list[str]:
    """The names of a Parquet file's columns. Raises ManifestError."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            return list(map(str, table.schema_arrow.names))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ManifestError(f"{file}: not a Parquet file that can be read") from error


def parquet_records(file: Path, columns: Collection[str]) -> Iterator[tuple[str, Record]]:
    """The rows of a Parquet file, each with its place, such as "row 3". Only `columns` are read:
    others may hold whole sounds. Raises ManifestError."""
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(columns=list(columns)):
                for record in batch.to_pylist():
                    number += 1
                    yield f"row {number}", record
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ManifestError(f"{file}: row {number + 1}: cannot be read") from error


def cell(value: object) -> Cell:
    """A record's value as a cell. Raises ValueError, which says what the value is instead."""
    if isinstance(value, list | tuple):
        return tuple(_text(item) for item in value)
    return _text(value)


def _text(value: object) -> str:
    if value is None or (isinstance(value, float) and isnan(value)):
        return ""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError("half a character") from error
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | date):
        raise ValueError(_kind(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # whole numbers beside missing ones are often kept as floats
    return str(value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "bytes" if isinstance(value, bytes) else "a number")


def json_lines(records: Sequence[Record]) -> bytes:
    """Records as a JSON lines file."""
    return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records).encode()


def parquet_table(records: Sequence[Mapping[str, str | Sequence[str]]]) -> bytes:
    """Records of the same columns as a Parquet file; the first shows which columns hold lists."""
    import pyarrow as pa
    from pyarrow import parquet

    first = records[0] if records else {}
    kinds = ((name, isinstance(value, str)) for name, value in first.items())
    schema = pa.schema(
        [(name, pa.string() if plain else pa.list_(pa.string())) for name, plain in kinds]
    )
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(records), schema=schema), out)
    return out.getvalue()
