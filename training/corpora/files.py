"""Files of published data sets: tables, JSON, and a check for missing sounds."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from earmark.model.core.manifest import ManifestRow
from earmark.training.errors import CorpusError

MAX_NAMED = 5  # missing files that an error names


def read_table(file: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a header. Raises CorpusError for a missing or repeated column."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            names = reader.fieldnames or ()
            if repeated := sorted({name for name in names if name and names.count(name) > 1}):
                raise CorpusError(f"{file}: expected each column once, got {', '.join(repeated)}")
            missing = sorted(set(columns) - set(names))
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


def read_json_object(file: Path) -> dict[str, Any]:
    """A JSON file's object. Raises CorpusError."""
    value = read_json(file)
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: expected an object, got {type(value).__name__}")
    return value


def read_tags(file: Path) -> dict[str, list[str]]:
    """A JSON file's object of name → list of tags. Raises CorpusError."""
    lists = read_json_object(file)
    for name, tags in lists.items():
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise CorpusError(f"{file}: {name}: expected a list of tags, got {tags!r:.60}")
    return lists


def require_files(rows: Sequence[ManifestRow], name: str) -> list[ManifestRow]:
    """The rows, if all of their sounds exist. Raises CorpusError, naming missing sounds."""
    missing = [row.path for row in rows if not row.path.is_file()]
    if missing:
        named = ", ".join(map(str, missing[:MAX_NAMED]))
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise CorpusError(f"{name}: {len(missing)} of {len(rows)} sounds missing: {named}{more}")
    if not rows:
        raise CorpusError(f"{name}: expected sounds, got none")
    return list(rows)
