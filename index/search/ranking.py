"""Vectors and words → hits, page by page, each with the grounds on which it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import LONG_SECONDS
from earmark.index.catalogue.records import Clip
from earmark.index.errors import CursorError
from earmark.index.lexical.expansion import Others
from earmark.index.search.clip_cache import ClipCache, Shown
from earmark.index.search.cursor import LAST, Cursor
from earmark.index.search.fusion import Fused, fuse
from earmark.index.stores.base import Candidates, VectorStore, Wanted
from earmark.index.types import Filter
from earmark.model.core.arrays import Array

POOLS = (100, 1_000)  # candidates of each ranking before fusion; the rest of a larger follows
ALIKE = 0.99  # cosine from which two sounds are variants of one: takes of one footstep, say
SPARE = 10  # more than are wanted: clips can be removed between two reads

Sort = Literal["relevance", "newest", "oldest", "shortest", "longest", "title"]
SORTS: dict[Sort, Callable[[Clip], Any]] = {
    "newest": lambda clip: (-clip.row,),
    "oldest": lambda clip: (clip.row,),
    "shortest": lambda clip: (clip.duration, clip.row),
    "longest": lambda clip: (-clip.duration, clip.row),
    "title": lambda clip: (clip.title.casefold(), clip.row),
}


@dataclass(frozen=True)
class Asked:
    """What is looked for: near a vector [D], holding words (stems, and as they were asked).

    `distinct`: near-duplicates of a hit stand with it, not as hits of their own. `sort`: of what
    was found, as deep as pages reach. `query`: all that the vector and the words were made of, for
    cursors to tell queries apart. `related`: words that may stand for those that no clip holds.
    """

    vector: Array | None
    words: Mapping[str, str]
    where: Filter
    distinct: bool = False
    sort: Sort = "relevance"
    query: str = ""
    related: Others = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it but the place."""
        return f"{self.query!r} {self.where} {self.distinct} {self.sort}"

    @property
    def wanted(self) -> Wanted:
        """As a vector store takes it."""
        return Wanted(self.vector, tuple(self.words), self.where, self.related)


@dataclass(frozen=True)
class Hit:
    """A clip that was found. `start` (seconds) is where in a long sound the match is best.

    `score`: 0 to 1, 1 being first in every ranking asked; `cosine` with the query, in
    [-1, 1]; ranks from 1 in the vector and the word ranking, None where it was not found;
    `share`: of the query's words that it holds, rarer ones weighing more; `matched`: those words;
    `alike`: ids of near-duplicates that stand with it.
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


@dataclass(frozen=True)
class Page:
    """Hits, best first, and the cursor of the next page; empty where this is the last."""

    hits: list[Hit]
    next: str


@dataclass(frozen=True)
class Wish:
    """A page that is wanted: the k best, or those after a cursor."""

    asked: Asked
    k: int
    cursor: str = ""


@dataclass(frozen=True)
class _Kept:
    """An item of the ranking, and the rows of near-duplicates that come after it."""

    fused: Fused
    alike: list[int]


@dataclass(frozen=True)
class _Task:
    """A page to be made: what it is of, where it begins, how it was asked for."""

    asked: Asked
    begin: Cursor
    k: int
    text: str

    @property
    def pools(self) -> Sequence[int]:
        """How many candidates it takes, and then takes again where those are too few."""
        return POOLS if self.asked.sort == "relevance" else POOLS[-1:]

    @classmethod
    def of(cls, wish: Wish, last_row: int) -> _Task:
        """Raises CursorError."""
        asked, text = wish.asked, wish.asked.text
        if not wish.cursor:
            return cls(asked, Cursor(last_row), wish.k, text)
        begin = Cursor.of(wish.cursor, text)
        asked = replace(asked, where=replace(asked.where, up_to=begin.up_to))
        return cls(asked, begin, wish.k, text)


def page(catalogue: Catalogue, store: VectorStore, asked: Asked, k: int, cursor: str = "") -> Page:
    """The k best hits, or those after a cursor. Raises CursorError.

    Pages reach as deep as the larger of POOLS, in each ranking.
    """
    (found,) = pages(ClipCache(catalogue), catalogue, store, [Wish(asked, k, cursor)])
    if isinstance(found, CursorError):
        raise found
    return found


def pages(
    cache: ClipCache, catalogue: Catalogue, store: VectorStore, wishes: Sequence[Wish]
) -> list[Page | CursorError]:
    """For each wish its page, or what is wrong with its cursor. Together they cost less."""
    last_row = catalogue.last_row()
    tasks: list[_Task | CursorError] = []
    for wish in wishes:
        try:
            tasks.append(_Task.of(wish, last_row))
        except CursorError as error:
            tasks.append(error)
    first: dict[int, Candidates] = {}
    for most in POOLS:
        own = {
            number: task.asked.wanted
            for number, task in enumerate(tasks)
            if isinstance(task, _Task) and task.pools[0] == most
        }
        if own:
            first |= zip(own, store.candidates(list(own.values()), most), strict=True)
    return [
        _page(cache, catalogue, store, task, first[number]) if isinstance(task, _Task) else task
        for number, task in enumerate(tasks)
    ]


def _page(
    cache: ClipCache,
    catalogue: Catalogue,
    store: VectorStore,
    task: _Task,
    first: Candidates,
) -> Page:
    asked, k = task.asked, task.k
    kept, cosines, place = _kept(cache, catalogue, store, task, first)
    wanted = kept[place : place + k + SPARE]
    shown = cache.get([row for each in wanted for row in (each.fused.item, *each.alike)])
    there = [each for each in wanted if each.fused.item in shown]
    if asked.vector is not None:  # those that words alone found, unless the store told
        unknown = [each.fused.item for each in there[:k] if each.fused.item not in cosines]
        own = catalogue.vectors(unknown) if unknown else {}
        cosines |= {row: float(vector @ asked.vector) for row, vector in own.items()}
    weights = first.weights
    hits = [_hit(catalogue, asked, each, (shown, cosines, weights)) for each in there[:k]]
    if len(there) <= k or not hits:
        return Page(hits, "")
    last = tuple(hit.clip.row for hit in hits[-LAST:])
    return Page(hits, Cursor(task.begin.up_to, last, place + len(hits)).text(task.text))


def _kept(
    cache: ClipCache, catalogue: Catalogue, store: VectorStore, task: _Task, first: Candidates
) -> tuple[list[_Kept], dict[int, float], int]:
    """(the ranking as far as it is needed, known cosines by row, where the page begins)."""
    asked, wanted = task.asked, task.k + SPARE
    ranking: dict[int, Fused] = {}
    cosines: dict[int, float] = {}
    # The first page of a plain ranking needs only its best.
    plain = not task.begin.last and not asked.distinct and asked.sort == "relevance"
    for pool in task.pools:
        (found,) = [first] if pool == task.pools[0] else store.candidates([asked.wanted], pool)
        fused = fuse(found.near, found.holding, found.shares, wanted if plain else None)
        # What a smaller pool has put in order stays so.
        for each in fused:
            ranking.setdefault(each.item, each)
        cosines |= zip(found.near.tolist(), found.cosines.tolist(), strict=True)
        if found.held is not None:
            cosines |= zip(found.holding.tolist(), found.held.tolist(), strict=True)
        ordered = _sorted(cache, list(ranking.values()), asked.sort)
        kept = _folded(catalogue, ordered, distinct=asked.distinct)
        place = task.begin.place([each.fused.item for each in kept])
        if len(kept) >= place + wanted or max(len(found.near), len(found.holding)) < pool:
            break
    return kept, cosines, place


def _sorted(cache: ClipCache, ranking: list[Fused], sort: Sort) -> list[Fused]:
    """What was found, in the order wanted; without what has gone meanwhile."""
    if sort == "relevance":
        return ranking
    clips = cache.get([each.item for each in ranking])
    there = [each for each in ranking if each.item in clips]
    return sorted(there, key=lambda each: SORTS[sort](clips[each.item].clip))


def _folded(catalogue: Catalogue, ranking: Sequence[Fused], *, distinct: bool) -> list[_Kept]:
    """The ranking; where hits are to be distinct, near-duplicates put to the first of them."""
    if not distinct:
        return [_Kept(each, []) for each in ranking]
    vectors = catalogue.vectors([each.item for each in ranking])
    kept: list[_Kept] = []
    own = np.empty((len(vectors), len(next(iter(vectors.values()), ()))), np.float32)
    for each in ranking:
        vector = vectors.get(each.item)
        if vector is None:
            continue  # removed meanwhile
        cosines = own[: len(kept)] @ vector
        if kept and cosines.max() >= ALIKE:
            kept[int(cosines.argmax())].alike.append(each.item)
        else:
            own[len(kept)] = vector
            kept.append(_Kept(each, []))
    return kept


def _hit(
    catalogue: Catalogue,
    asked: Asked,
    kept: _Kept,
    known: tuple[Mapping[int, Shown], Mapping[int, float], Mapping[str, float]],
) -> Hit:
    """`known`: what is shown of rows and their cosines, and the weights of stems."""
    shown, cosines, weights = known
    fused, vector = kept.fused, asked.vector
    own = shown[fused.item]
    return Hit(
        clip=own.clip,
        score=fused.score,
        cosine=cosines.get(fused.item),
        vector_rank=fused.vector_rank,
        word_rank=fused.word_rank,
        share=fused.share,
        matched=_matched(own, asked, weights) if fused.word_rank else (),
        start=0.0 if vector is None else _best_start(catalogue, own.clip, vector),
        alike=tuple(shown[row].clip.id for row in kept.alike if row in shown),
    )


def _best_start(catalogue: Catalogue, clip: Clip, vector: Array) -> float:
    """Start of a long clip's window nearest to the query, in seconds; else 0."""
    found = catalogue.windows(clip.row) if clip.duration > LONG_SECONDS else None
    if found is None:
        return 0.0
    starts, vectors = found
    return float(starts[np.argmax(vectors @ vector)])


def _matched(shown: Shown, asked: Asked, weights: Mapping[str, float]) -> tuple[str, ...]:
    """The query's words (by their stems) that the clip holds, as they were asked; for one that no
    clip holds the nearest related word that this one does."""
    found = []
    for stem in dict.fromkeys((*asked.words, *asked.related)):
        if stem in asked.words and stem in shown.stems:
            found.append(asked.words[stem])
        elif stem not in weights or stem not in asked.words:
            instead = (
                each.word
                for each in asked.related.get(stem, ())
                if each.stem in shown.stems and each.stem in weights
            )
            found += islice(instead, 1)
    return tuple(dict.fromkeys(found))
