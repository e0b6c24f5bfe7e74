"""Filters in Milvus' own language, and the numbers that stand for names in them.

Conventions: licences, sources and tags are kept in Milvus as numbers made from their text, 63 bits
of BLAKE2b, tags in lower case. So a filter holds numbers only: no text needs escaping, none is too
long, and two names of a library share a number about once in 10⁷ libraries of a million names.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np

from index.filters import Filter

MOST_TAGS = 4_096  # elements that Milvus takes in an array


def number(name: str) -> int:
    """The number that stands for a name, 0 to 2⁶³ − 1."""
    # A filter's text may hold lone surrogates, which no clip's does: then it finds none.
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def tag_numbers(tags: str) -> list[int]:
    """The numbers of a clip's tags, each once; `tags` as the catalogue holds them."""
    return [number(tag) for tag in dict.fromkeys(tags.lower().split())]


def expression(where: Filter | None) -> str | None:
    """A filter for Milvus; empty where all clips pass, None where none can."""
    if where is None or where.empty:
        return ""
    conditions = []
    for sign, bound in ((">=", where.min_duration), ("<=", where.max_duration)):
        if bound is None:
            continue
        with np.errstate(over="ignore"):  # too large for float32: infinite, as FAISS's store has it
            seconds = float(np.float32(bound))
        if np.isfinite(seconds):
            conditions.append(f"duration {sign} {seconds!r}")
        elif sign == ">=":
            return None
    for tag in where.all_tags:
        conditions.append(f"array_contains(tags, {number(tag.lower())})")
    if where.any_tags:
        conditions.append(f"array_contains_any(tags, {_tags(where.any_tags)})")
    if where.no_tags:
        conditions.append(f"(not array_contains_any(tags, {_tags(where.no_tags)}))")
    if where.licences:
        conditions.append(f"licence in {_numbers(map(number, where.licences))}")
    if where.sources:
        conditions.append(f"source in {_numbers(map(number, where.sources))}")
    if where.rows is not None:
        if not where.rows:
            return None
        conditions.append(f"row in {_numbers(where.rows)}")
    return " and ".join(conditions)


def _tags(tags: Iterable[str]) -> str:
    return _numbers(number(tag.lower()) for tag in tags)


def _numbers(values: Iterable[int]) -> str:
    return f"[{','.join(str(int(value)) for value in values)}]"
