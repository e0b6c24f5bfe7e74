"""Ids made from names: `sea-waves` of "Sea waves"."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from typing import Literal

MAX_CHARACTERS = 60  # without a number after it

_NO_WORD = re.compile("[^a-z0-9]+")


def free_slug(
    db: sqlite3.Connection, table: Literal["collections", "classifiers"], name: str
) -> str:
    """An id made from a name: words in small letters, and a number where another row has it."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    base = _NO_WORD.sub("-", plain)[:MAX_CHARACTERS].strip("-") or table.removesuffix("s")
    new_id, number = base, 1
    while db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (new_id,)).fetchone():  # noqa: S608 (constants)
        number += 1
        new_id = f"{base}-{number}"
    return new_id
