"""The types of a search: filter and query, the request, a store's candidates, hits and pages.

A request goes from the HTTP route to the vector store: `SearchRequest` → `Candidates` (of a
`VectorStore`) → `FusedHit` (`index.search.fusion`) → `Hit` → `Page`. This module imports nothing
of ours at run time but errors and dates, so that the HTTP client, which runs without torch, can use
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

from earmark.index.dates import first_day
from earmark.index.errors import FilterError

if TYPE_CHECKING:
    from earmark.index.catalogue.records import Clip
    from earmark.index.lexical.expansion import RelatedByStem
    from earmark.model.core.arrays import Array, Rows
    from earmark.model.embedder import ParsedTags

MOMENTS = 3  # of a hit, unless more or fewer are asked for
Sort = Literal[
    "relevance", "newest", "oldest", "shortest", "longest", "title", "loudest", "quietest"
]
Confidence = Literal["sure", "maybe", "unlikely"]
_FIRST = (  # conditions that filters have always had
    *("all_tags", "any_tags", "no_tags", "min_duration", "max_duration", "licences", "sources"),
    *("rows", "up_to", "but"),
)


@dataclass(frozen=True, eq=False)
class RowSet:
    """Clip numbers `rows` [n], ascending and distinct. A set equals itself only."""

    rows: Rows


@dataclass(frozen=True)
class Filter:
    """Conditions on clips; all must hold, and an empty filter lets all clips pass.

    `all_tags`, `any_tags`, `no_tags`: a clip has all of these tags, one of them, none of them.
    `licences`, `sources`, `categories` (CatIDs of the Universal Category System): one of these.
    Tags and all of these are compared by `text_key`.
    `min_duration`, `max_duration`: seconds, both inclusive. `sample_rates` (Hz), `channels`: one of
    these. `min_loudness`, `max_loudness`: LUFS, both inclusive; a sound whose loudness is not known
    passes neither. `added_after`: in that year, month or day, or later; `added_before`: before it;
    in ISO 8601, UTC ("2026", "2026-11", "2026-11-30"). `rows`: one of these clip numbers; `up_to`:
    the highest clip number; `but`: a clip number to leave out.
    `collections`: in one of these, by id; `classifiers`: one of these, by id, says that it is its
    sound. What is named so becomes `members` below the library
    (`index.search.named_rows`), which is no part of a search's key: a cursor outlives changes.
    Raises FilterError for durations or loudness that are no range, and for texts that are no dates.
    """

    all_tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    no_tags: tuple[str, ...] = ()
    min_duration: float | None = None
    max_duration: float | None = None
    licences: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    sample_rates: tuple[int, ...] = ()
    channels: tuple[int, ...] = ()
    min_loudness: float | None = None
    max_loudness: float | None = None
    added_after: str = ""
    added_before: str = ""
    categories: tuple[str, ...] = ()
    rows: tuple[int, ...] | None = None
    up_to: int | None = None
    but: int | None = None
    collections: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    members: RowSet | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        low = 0.0 if self.min_duration is None else self.min_duration
        high = float("inf") if self.max_duration is None else self.max_duration
        if not 0 <= low <= high:
            raise FilterError(
                f"duration: expected 0 ≤ minimum ≤ maximum seconds, got {self.min_duration} "
                f"and {self.max_duration}"
            )
        low = float("-inf") if self.min_loudness is None else self.min_loudness
        high = float("inf") if self.max_loudness is None else self.max_loudness
        if not low <= high:
            raise FilterError(
                f"loudness: expected minimum ≤ maximum LUFS, got {self.min_loudness} "
                f"and {self.max_loudness}"
            )
        _ = self.added  # are they dates

    @property
    def added(self) -> tuple[int | None, int | None]:
        """The first day, and the day after the last, on which clips were added that pass: numbers
        since 1970; None without a condition."""
        after, before = self.added_after, self.added_before
        return (
            first_day(after, "added_after") if after else None,
            first_day(before, "added_before") if before else None,
        )

    def __str__(self) -> str:
        """The conditions, of the later ones those that are set: cursors of before still hold."""
        names = [
            each.name
            for each in fields(self)
            if each.name in _FIRST or (each.repr and getattr(self, each.name) != each.default)
        ]
        return f"Filter({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    @property
    def empty(self) -> bool:
        """Whether all clips pass."""
        return self == _EMPTY_FILTER


_EMPTY_FILTER = Filter()


@dataclass(frozen=True)
class Query:
    """The words of a search, as `index.search.query.parse` reads them from a text.

    `text`: the wanted words; `without`: words that no hit may be tagged with; `weights`: of words
    of `text` that have one, 0.1 to 10; `last`: the last word of a query that is being typed, which
    may be half typed; empty where a space, a weight or an unwanted word comes after it.
    """

    text: str = ""
    without: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    last: str = field(default="", repr=False)  # cursors are bound to what is printed


_NO_WORDS = Query()


@dataclass(frozen=True)
class SearchRequest:
    """One page of a search, from the route through the queue to the vector store.

    `query`: words; empty for a search by sound. `k`: hits on the page. `cursor`: of the page
    before. `distinct`: list near-duplicates with the best of them, not as hits of their own.
    `sort`: order of the candidates. `fields`: fields of a hit in the response; none named: all.
    `moments`: of each hit, at most.
    `min_probability`: of a hit, where the model tells it.

    `index.search.query.QueryEncoder` fills in the rest for words: `vector` [D], the query's unit
    vector, None where the model knows none of the words; `stems`: the words by their terms
    (`index.lexical.terms`); `related`: words that may stand for a stem that no clip holds;
    `understood`: the words that the model uses; `level`: mean and deviation of the query's cosines
    with sounds at large, None where the model does not state them.
    A search by sound has a `vector` from the start, and in `sound` a name that tells this sound
    from others: its cursors are bound to it.
    """

    query: Query = _NO_WORDS
    k: int = 10
    where: Filter = _EMPTY_FILTER
    cursor: str = ""
    distinct: bool = False
    sort: Sort = "relevance"
    fields: tuple[str, ...] = ()
    vector: Array | None = None
    sound: str = ""
    stems: Mapping[str, str] = field(default_factory=dict)
    related: RelatedByStem = field(default_factory=dict)
    understood: ParsedTags | None = None
    level: tuple[float, float] | None = None
    min_probability: float = 0.0
    moments: int = MOMENTS

    def search_key(self) -> str:
        """Text that is equal for pages of one search and differs between searches."""
        key = f"{self.sound or repr(self.query)!r} {self.where} {self.distinct} {self.sort}"
        if self.query.last:
            key = f"{key} {self.query.last!r}"
        return f"{key} {self.min_probability}" if self.min_probability else key


@dataclass(frozen=True)
class Candidates:
    """The two rankings of a request: by vector and by words, best first.

    `nearest` [n]: rows of the clips nearest to the vector, and their `cosines` [n]. `matching` [m]:
    rows of the clips that hold words of the query, and their `shares` [m] of these words;
    `matching_cosines` [m], None without a vector, NaN of clips that an index that does not compare
    all vectors has missed. `weights`: of the stems that were matched.
    """

    nearest: Rows
    cosines: Array
    matching: Rows
    shares: Array
    matching_cosines: Array | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """A part of a sound where a query is heard best, in seconds, and its cosine with the query."""

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Hit:
    """A clip that a search found. `moments`: where in a sound of several windows it matches, best
    first; `start`: where the best of them starts, in seconds, else 0.

    `score`: 0 to 1; 1 is first in both rankings and holds all words. `cosine`: of the query and the
    clip or its best window, in [-1, 1]. `vector_rank`, `word_rank`: from 1, None where that ranking
    lacks the clip. `share`: of the query's words that the clip holds, rare words weighing more;
    `matched`: these words.
    `alike`: ids of the near-duplicates that are listed with it.
    `probability`: that it is right, and what this means in a word (`index.search.confidence`); None
    where the model does not tell.
    """

    clip: Clip
    score: float
    cosine: float | None
    vector_rank: int | None
    word_rank: int | None
    share: float
    matched: tuple[str, ...]
    start: float
    alike: tuple[str, ...] = ()
    moments: tuple[Moment, ...] = ()
    probability: float | None = None
    confidence: Confidence | None = None


@dataclass(frozen=True)
class Page:
    """Hits, best first. `next`: the next page's cursor; empty on the last page.

    `generation`: the library's, of the hits. For a search by words: `understood`, which words the
    model used, and `without`, which words no hit is tagged with. `sure`: how many sounds of the
    candidates are sure, None where the model does not tell.
    """

    hits: list[Hit]
    next: str
    generation: int
    understood: ParsedTags | None = None
    without: tuple[str, ...] = ()
    sure: int | None = None
