"""What the readers of published data sets share: tables, and saying exactly what is missing."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from earmark.model.core.manifest import ManifestRow
from earmark.training.errors import CorpusError

SHOWN = 5  # missing files that are named


def read_table(file: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header. Raises CorpusError unless it has those columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = sorted(set(columns) - set(reader.fieldnames or ()))
            if missing:
                raise CorpusError(f"{file}: expected the columns {', '.join(missing)}")
            return [{name: value or "" for name, value in row.items()} for row in reader]
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{file}: not a CSV file in UTF-8 ({error})") from error


def read_json(file: Path) -> Any:  # noqa: ANN401 (whatever the file holds)
    """A JSON file's value. Raises CorpusError."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise CorpusError(f"{file}: not JSON ({error})") from error


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file's object. Raises CorpusError."""
    value = read_json(file)
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: expected an object, got {type(value).__name__}")
    return value


def read_tags(file: Path) -> dict[str, list[str]]:
    """A JSON file's lists of tags by name. Raises CorpusError."""
    lists = read_object(file)
    for name, own in lists.items():
        if not isinstance(own, list) or not all(isinstance(tag, str) for tag in own):
            raise CorpusError(f"{file}: {name}: expected a list of tags, got {own!r:.60}")
    return lists


def all_there(rows: Sequence[ManifestRow], name: str) -> list[ManifestRow]:
    """The rows, once every sound of them is there. Raises CorpusError naming what is not."""
    missing = [row.path for row in rows if not row.path.is_file()]
    if missing:
        named = ", ".join(map(str, missing[:SHOWN]))
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise CorpusError(f"{name}: {len(missing)} of {len(rows)} sounds missing: {named}{more}")
    if not rows:
        raise CorpusError(f"{name}: expected sounds, got none")
    return list(rows)
