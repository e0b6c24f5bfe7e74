"""Vectors and words → hits, page by page, each with the grounds on which it was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.catalogue import Catalogue
from index.cursor import LAST, Cursor
from index.filters import Filter
from index.fusion import Fused, fuse
from index.records import Array, Clip
from index.sounds import LONG_SECONDS
from index.stems import stems
from index.vectors import VectorStore

POOLS = (100, 1_000)  # candidates of each ranking before fusion; the rest of a larger follows
ALIKE = 0.99  # cosine from which two sounds are variants of one: takes of one footstep, say
SPARE = 10  # more than are wanted: clips can be removed between two reads


@dataclass(frozen=True)
class Asked:
    """What is looked for: near a vector [D], holding words (stems, and as they were asked).

    `distinct`: near-duplicates of a hit stand with it, not as hits of their own.
    """

    vector: Array | None
    words: Mapping[str, str]
    where: Filter
    distinct: bool = False

    @property
    def text(self) -> str:
        """All of it but the place, for cursors to tell queries apart."""
        vector = b"" if self.vector is None else np.round(self.vector, 4).tobytes()
        return f"{vector!r} {sorted(self.words)} {self.where} {self.distinct}"


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
class _Kept:
    """An item of the ranking, and the rows of near-duplicates that come after it."""

    fused: Fused
    alike: list[int]


def page(catalogue: Catalogue, store: VectorStore, asked: Asked, k: int, cursor: str = "") -> Page:
    """The k best hits, or those after a cursor. Raises CursorError.

    Pages reach as deep as the larger of POOLS, in each ranking.
    """
    whole = asked
    begin = Cursor.of(cursor, whole.text) if cursor else Cursor(catalogue.last_row())
    if cursor:
        asked = replace(asked, where=replace(asked.where, up_to=begin.up_to))
    kept, cosines, place = _kept(catalogue, store, asked, begin, k + SPARE)
    wanted = kept[place : place + k + SPARE]
    rows = [row for each in wanted for row in (each.fused.item, *each.alike)]
    clips = catalogue.clips_by_row(rows)
    there = [each for each in wanted if each.fused.item in clips]
    if asked.vector is not None:  # those that words alone found
        unknown = [each.fused.item for each in there[:k] if each.fused.item not in cosines]
        own = catalogue.vectors(unknown) if unknown else {}
        cosines |= {row: float(vector @ asked.vector) for row, vector in own.items()}
    hits = [_hit(catalogue, asked, each, clips, cosines) for each in there[:k]]
    if len(there) <= k or not hits:
        return Page(hits, "")
    last = tuple(hit.clip.row for hit in hits[-LAST:])
    return Page(hits, Cursor(begin.up_to, last, place + len(hits)).text(whole.text))


def _kept(
    catalogue: Catalogue, store: VectorStore, asked: Asked, begin: Cursor, wanted: int
) -> tuple[list[_Kept], dict[int, float], int]:
    """(the ranking as far as it is needed, known cosines by row, where the page begins)."""
    ranking: dict[int, Fused] = {}
    cosines: dict[int, float] = {}
    for pool in POOLS:
        fused, known = _fused(store, asked, pool)
        # What a smaller pool has put in order stays so.
        for each in fused:
            ranking.setdefault(each.item, each)
        cosines |= known
        kept = _folded(catalogue, list(ranking.values()), distinct=asked.distinct)
        place = begin.place([each.fused.item for each in kept])
        if len(kept) >= place + wanted or len(fused) < pool:
            break
    return kept, cosines, place


def _fused(store: VectorStore, asked: Asked, pool: int) -> tuple[list[Fused], dict[int, float]]:
    """The fused ranking, and cosines with the query by row."""
    found = [] if asked.vector is None else [store.search(asked.vector, pool, asked.where)]
    cosines = {
        row: cos
        for rows, near in found
        for row, cos in zip(rows.tolist(), near.tolist(), strict=True)
    }
    matching, shares = store.match(list(asked.words), pool, asked.where, asked.vector)
    return fuse(list(cosines), matching.tolist(), shares.tolist()), cosines


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
    clips: Mapping[int, Clip],
    cosines: Mapping[int, float],
) -> Hit:
    fused, vector = kept.fused, asked.vector
    clip = clips[fused.item]
    return Hit(
        clip=clip,
        score=fused.score,
        cosine=cosines.get(fused.item),
        vector_rank=fused.vector_rank,
        word_rank=fused.word_rank,
        share=fused.share,
        matched=_matched(clip, asked.words) if fused.word_rank else (),
        start=0.0 if vector is None else _best_start(catalogue, clip, vector),
        alike=tuple(clips[row].id for row in kept.alike if row in clips),
    )


def _best_start(catalogue: Catalogue, clip: Clip, vector: Array) -> float:
    """Start of a long clip's window nearest to the query, in seconds; else 0."""
    found = catalogue.windows(clip.row) if clip.duration > LONG_SECONDS else None
    if found is None:
        return 0.0
    starts, vectors = found
    return float(starts[np.argmax(vectors @ vector)])


def _matched(clip: Clip, words: Mapping[str, str]) -> tuple[str, ...]:
    """The query's words (by their stems) that the clip holds, as they were asked."""
    own = stems(" ".join([clip.title, *clip.tags, clip.description]))
    return tuple(word for stem, word in words.items() if stem in own)
