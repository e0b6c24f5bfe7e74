"""Filters as Milvus expressions, and the numbers that stand for names in them.

Conventions: licences, sources, categories, tags and stems of words are stored in Milvus as hashes,
63 bits of BLAKE2b: of a stem itself, of the `text_key` of other names. So an expression contains
numbers only: no text needs escaping, none is too long, and two names collide about once in 10⁷
libraries of a million names. Dimensions of sparse vectors have 32 bits: two words collide once in
40,000 libraries of 100,000 words.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import numpy as np

from earmark.index.stores.columns import DESCRIPTION_WEIGHT
from earmark.index.types import Filter
from earmark.model.text.text_key import text_key

LOUDEST = 1_000.0  # LUFS, and the lowest its negative: Milvus stores nothing infinite
UNKNOWN_LOUDNESS = 10 * LOUDEST
DIMENSIONS = 2**32 - 2  # of a sparse vector of Milvus
SHARE_UNITS = 20_000  # shares are whole numbers of 20,000ths: weights of four digits, and halves


def number(word: str) -> int:
    """The hash of a word, 0 to 2⁶³ − 1."""
    # A filter's text may contain lone surrogates, which no clip's does: then it finds none.
    digest = blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def name_number(name: str) -> int:
    """The hash of a name: one for all that count as the same."""
    return number(text_key(name))


def dimension(stem: str) -> int:
    """The dimension of a word in sparse vectors, from 1."""
    return 1 + number(stem) % DIMENSIONS


def tag_numbers(tags: str) -> list[int]:
    """The hashes of a clip's tags, without repeats; `tags`: separated by spaces."""
    return list(dict.fromkeys(map(name_number, tags.split())))


def expression(where: Filter | None) -> str | None:
    """A filter as an expression; empty where all clips pass, None where none can."""
    if where is None or where.empty:
        return ""
    low, high = _float32(where.min_duration), _float32(where.max_duration)
    quietest, loudest = _float32(where.min_loudness), _float32(where.max_loudness)
    first, end = where.added
    members = None if where.members is None else where.members.rows.tolist()
    if low == math.inf or where.rows == () or members == []:
        return None
    conditions = {
        f"duration >= {low!r}": low is not None,
        f"duration <= {high!r}": high not in (None, math.inf),
        f"array_contains_all(tags, {_names(where.all_tags)})": where.all_tags,
        f"array_contains_any(tags, {_names(where.any_tags)})": where.any_tags,
        f"(not array_contains_any(tags, {_names(where.no_tags)}))": where.no_tags,
        f"licence in {_names(where.licences)}": where.licences,
        f"source in {_names(where.sources)}": where.sources,
        f"category in {_names(where.categories)}": where.categories,
        f"sample_rate in {_numbers(where.sample_rates)}": where.sample_rates,
        f"channels in {_numbers(where.channels)}": where.channels,
        f"loudness >= {level(quietest)!r}": quietest is not None,
        f"loudness <= {level(loudest)!r}": loudest is not None,
        f"loudness != {UNKNOWN_LOUDNESS!r}": quietest is not None or loudest is not None,
        f"added >= {first}": first is not None,
        f"added < {end}": end is not None,
        f"row in {_numbers(where.rows or ())}": where.rows is not None,
        f"row in {_numbers(members or ())}": members is not None,
        f"row <= {where.up_to}": where.up_to is not None,
        f"row != {where.but}": where.but is not None,
    }
    return " and ".join(condition for condition, is_set in conditions.items() if is_set)


def level(loudness: float | None) -> float:
    """A loudness in LUFS as it is stored; None, and NaN: it is not known."""
    if loudness is None or math.isnan(loudness):
        return UNKNOWN_LOUDNESS
    return max(-LOUDEST, min(float(np.float32(loudness)), LOUDEST))


def _float32(bound: float | None) -> float | None:
    """A bound rounded to float32; infinite where it is too large."""
    if bound is None:
        return None
    with np.errstate(over="ignore"):
        return float(np.float32(bound))


def has_share(weights: Mapping[str, float], share: int) -> str:
    """An expression: clips whose words weigh `share` 20,000ths in all, of five words at most."""
    alternatives = []
    for parts in itertools.product((1.0, DESCRIPTION_WEIGHT, 0.0), repeat=len(weights)):
        pairs = list(zip(weights.items(), parts, strict=True))
        if round(SHARE_UNITS * sum(weight * part for (_, weight), part in pairs)) == share:
            conditions = [_holds(number(stem), part) for (stem, _), part in pairs]
            alternatives.append(f"({' and '.join(conditions)})")
    return f"({' or '.join(alternatives)})"


def holds(*words: str) -> str:
    """An expression: clips that hold one of these words."""
    stems = _numbers(map(number, words))
    return f"array_contains_any(words, {stems}) or array_contains_any(described, {stems})"


def _holds(stem: int, part: float) -> str:
    if part:
        return f"array_contains({'words' if part == 1 else 'described'}, {stem})"
    return f"(not array_contains(words, {stem}) and not array_contains(described, {stem}))"


def _names(names: Iterable[str]) -> str:
    return _numbers(map(name_number, names))


def _numbers(values: Iterable[int]) -> str:
    return f"[{','.join(str(int(value)) for value in values)}]"
