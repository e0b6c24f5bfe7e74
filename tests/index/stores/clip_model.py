"""Clips as a plain model of a vector store holds them, odd names and filters, for hypothesis."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.terms import BEGINNING, clip_terms, is_beginning
from earmark.index.types import Filter
from earmark.model.text.text_key import text_key
from tests.index.made import vector

DIM = 4
WORDS = [
    "dog", "Dog", "BARK", "bark", "it's", '"', "\\", "\\'", "100%", "a_b", "nul\0", "🎧", "Straße",
    "İstanbul", "[1,2]", "{x}", "or", "true", "-1", "null", "ΑΣ", "long*", "LONG*z", "STRASSE",
    "café", "CAFE\u0301", "cafe", "ra\u200bin", "Rain",
]  # fmt: skip
NAMES = ["", " ", "CC0-1.0", "cc0-1.0", "line\nbreak", "' or row > 0 --", "tab\t", *WORDS[4:]]
SPOKEN = [
    "rain", "Rains", "raining", "metal", "roof", "dogs", "a", "barking", "tin-roof", "çay", "off",
    "rainstorm", "雨", "大雨音", "雨音がする", "ฝนตก", "빗소리가",
]  # fmt: skip
LOUDNESS = [-70.0, -23.0, -22.9, -14.0, 0.0, 3.0]  # LUFS
DATES = ["1969", "2025", "2026-02", "2026-02-28", "2026-03-01", "2026-12-31", "2999"]
DAYS = [-1, 0, 20_088, 20_454, 20_485, 20_512, 20_513, 20_818]  # since 1970, about those dates
RATES = [8_000, 22_050, 44_100, 48_000]  # Hz
SECONDS = [0.0, 1e-7, 0.1, 0.3, 0.30000001, 1.0, 59.94, 12_345.678, 1e9]


@dataclass(frozen=True)
class Held:
    """What the model knows of a clip."""

    seed: int
    duration: float
    licence: str
    source: str
    tags: tuple[str, ...]
    title: str = ""
    description: str = ""
    windows: tuple[int, ...] = ()
    loudness: float | None = None
    added: int = 0
    sample_rate: int = 44_100
    channels: int = 1
    category: str = ""

    @property
    def vectors(self) -> np.ndarray:
        """Its own vector, and those of its windows, made of their seeds."""
        return np.array([vector(seed) for seed in (self.seed, *self.windows)], np.float32)

    def nearness(self, query: np.ndarray) -> float:
        """The cosine of its nearest vector."""
        return float((self.vectors @ query).max())


def grown(word: str) -> str:
    """A star makes a word ten thousand letters long."""
    return word.replace("*", "g" * 10_000)


_words = st.sampled_from(WORDS).map(grown) | st.text(min_size=1, max_size=4).filter(
    lambda word: word.split() == [word]
)
_names = st.sampled_from(NAMES).map(grown) | st.text(max_size=4)
ROWS = st.integers(1, 25)
SPOKEN_WORDS = st.sampled_from(SPOKEN)
BEGINNINGS = st.sampled_from(["rai*", "rain*", "rainstor*", "roo*", "bar*", "cay*", "xyz*"])
_texts = st.lists(SPOKEN_WORDS, max_size=4).map(" ".join) | st.text(max_size=4)
HELD = st.builds(
    Held,
    seed=st.integers(0, 12),  # few: vectors that are the same
    duration=st.sampled_from(SECONDS) | st.floats(0, 1e6),
    licence=_names,
    source=_names,
    tags=st.lists(_words, max_size=4).map(tuple),
    title=_texts,
    description=_texts,
    loudness=st.none() | st.sampled_from(LOUDNESS) | st.floats(-100, 10),
    added=st.sampled_from(DAYS),
    sample_rate=st.sampled_from(RATES),
    channels=st.integers(1, 3),
    category=st.sampled_from(["", "WEATRain", "AMBUrbn"]),
    windows=st.just(()) | st.lists(st.integers(0, 40), min_size=2, max_size=9).map(tuple),
)


def _some(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(of, min_size=1, max_size=3).map(tuple)


_asked_words = _words | st.sampled_from(["two words", "", " dog", "\ud800"])
_bounds = st.sampled_from([*SECONDS, float("inf")]) | st.floats(0, 1e6)
_levels = st.sampled_from([*LOUDNESS, float("-inf"), float("inf")]) | st.floats(-100, 10)
CONDITIONS: dict[str, st.SearchStrategy[object]] = {
    "min_duration": _bounds,
    "max_duration": _bounds,
    "all_tags": _some(_asked_words),
    "any_tags": _some(_asked_words),
    "no_tags": _some(_asked_words),
    "licences": _some(_names),
    "sources": _some(_names),
    "categories": _some(st.sampled_from(["", "weatRAIN", "AMBUrbn", "none"])),
    "sample_rates": st.lists(st.sampled_from(RATES), min_size=1, max_size=2).map(tuple),
    "channels": st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple),
    "min_loudness": _levels,
    "max_loudness": _levels,
    "added_after": st.sampled_from(DATES),
    "added_before": st.sampled_from(DATES),
    "rows": st.lists(ROWS, max_size=12).map(tuple) | st.builds(lambda: tuple(range(10, 5_000))),
    "up_to": st.integers(0, 25),
    "but": st.integers(0, 25),
}


@st.composite
def _filters(draw: st.DrawFn) -> Filter:
    """Of few conditions: many would let none pass."""
    names = draw(st.lists(st.sampled_from(list(CONDITIONS)), max_size=3, unique=True))
    given = {name: draw(CONDITIONS[name]) for name in names}
    for kind in ("duration", "loudness"):
        bounds = (f"min_{kind}", f"max_{kind}")
        if set(bounds) <= given.keys():
            given |= zip(bounds, sorted(given[bound] for bound in bounds), strict=True)
    return Filter(**given)


FILTERS = st.none() | _filters()


def changes(generation: int, put: dict[int, Held], removed: Collection[int] = ()) -> Changes:
    """As the catalogue hands them out."""
    own = list(put.values())
    return Changes(
        rows=np.array(list(put), dtype=np.int64),
        vectors=np.concatenate([np.zeros((0, DIM), np.float32), *(each.vectors for each in own)]),
        ends=np.cumsum([len(each.vectors) for each in own], dtype=np.int64),
        durations=np.array([each.duration for each in own], dtype=np.float32),
        loudness=np.array(
            [math.nan if each.loudness is None else each.loudness for each in own], np.float32
        ),
        added=np.array([each.added for each in own], dtype=np.int32),
        sample_rates=[each.sample_rate for each in own],
        channels=[each.channels for each in own],
        licences=[each.licence for each in own],
        sources=[each.source for each in own],
        categories=[each.category for each in own],
        tags=[" ".join(each.tags) for each in own],
        titles=[each.title for each in own],
        descriptions=[each.description for each in own],
        removed=np.array(sorted(removed), dtype=np.int64),
        generation=generation,
    )


def some(rows: range, source: str = "") -> dict[int, Held]:
    """Clips that differ in their vectors and durations."""
    return {row: Held(row % 13, row / 10, "CC0-1.0", source, ("dog",)) for row in rows}


def passes(row: int, clip: Held, where: Filter) -> bool:
    """The filter's words, one condition after another."""
    own = set(map(text_key, clip.tags))
    every, some, none, licences, sources, categories = (
        set(map(text_key, names))
        for names in (
            where.all_tags, where.any_tags, where.no_tags, where.licences, where.sources,
            where.categories,
        )
    )  # fmt: skip
    seconds = np.float32(clip.duration)
    level = np.float32(math.nan if clip.loudness is None else clip.loudness)
    first, end = where.added
    return bool(
        every <= own
        and (not some or some & own)
        and not none & own
        and (where.min_duration is None or seconds >= np.float32(where.min_duration))
        and (where.max_duration is None or seconds <= np.float32(where.max_duration))
        and (not licences or text_key(clip.licence) in licences)
        and (not sources or text_key(clip.source) in sources)
        and (not categories or text_key(clip.category) in categories)
        and (not where.sample_rates or clip.sample_rate in where.sample_rates)
        and (not where.channels or clip.channels in where.channels)
        and (where.min_loudness is None or level >= np.float32(where.min_loudness))
        and (where.max_loudness is None or level <= np.float32(where.max_loudness))
        and (first is None or clip.added >= first)
        and (end is None or clip.added < end)
        and (where.rows is None or row in where.rows)
        and (where.members is None or row in where.members.rows)
        and (where.up_to is None or row <= where.up_to)
        and row != where.but
    )


def held_words(clip: Held, asked: Sequence[str]) -> tuple[float, ...]:
    """Of each term, 1 where title or tags hold it, a half where only the description does."""
    words, described = clip_terms(f"{clip.title} {' '.join(clip.tags)}", clip.description)
    return tuple(1.0 if _holds(words, term) else 0.5 * _holds(described, term) for term in asked)


def _holds(terms: Collection[str], asked: str) -> bool:
    if is_beginning(asked):
        return any(term.startswith(asked.removesuffix(BEGINNING)) for term in terms)
    return asked in terms


def is_more(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether of every word as much is held, and of one more."""
    return one != other and all(mine >= its for mine, its in zip(one, other, strict=True))
