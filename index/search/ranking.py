"""Ranks the clips that a request finds, cuts the ranking into pages, and explains each hit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.records import Clip
from earmark.index.errors import CursorError
from earmark.index.search.clip_cache import CachedClip, ClipCache
from earmark.index.search.confidence import Judge, JudgedSearch
from earmark.index.search.cursor import LAST_HITS, Cursor
from earmark.index.search.duplicates import fold_duplicates
from earmark.index.search.explanation import matched_words, understood_words
from earmark.index.search.fusion import FusedHit, fuse
from earmark.index.search.moments import MomentFinder
from earmark.index.stores.base import VectorStore
from earmark.index.types import Candidates, Hit, Moment, Page, SearchRequest, Sort
from earmark.model.core.arrays import Rows
from earmark.model.relevance import confidence
from earmark.model.text.text_key import text_key

POOLS = (100, 1_000)  # candidates of each ranking: the larger pool where the smaller ends too soon
SPARE_HITS = 10  # read beyond the page: clips may be removed between two reads

SORT_KEYS: dict[Sort, Callable[[Clip], Any]] = {
    "newest": lambda clip: (-clip.row,),
    "oldest": lambda clip: (clip.row,),
    "shortest": lambda clip: (clip.duration, clip.row),
    "longest": lambda clip: (-clip.duration, clip.row),
    "title": lambda clip: (text_key(clip.title), clip.row),
    "loudest": lambda clip: (clip.loudness is None, -(clip.loudness or 0), clip.row),
    "quietest": lambda clip: (clip.loudness is None, clip.loudness or 0, clip.row),
}


@dataclass(frozen=True)
class Ranker:
    """Makes pages of hits from the candidates of a store.

    Pages reach as deep as the larger pool, in each ranking. `window_seconds`: of the model;
    `judge`: says how probable hits are.
    """

    clips: ClipCache
    catalogue: Catalogue
    store: VectorStore
    window_seconds: float
    judge: Judge = field(default_factory=Judge)

    def pages(self, requests: Sequence[SearchRequest]) -> list[Page | CursorError]:
        """The page of each request, or the error of its cursor. A batch costs less than each
        request alone."""
        generation, last_row = self.store.generation, self.catalogue.last_row()
        starts = [_start(request, last_row) for request in requests]
        candidates: dict[int, Candidates] = {}
        for pool in POOLS:
            batch = {
                number: _bounded(request, start)
                for number, (request, start) in enumerate(zip(requests, starts, strict=True))
                if isinstance(start, Cursor) and _pools(request)[0] == pool
            }
            if batch:
                found = self.store.candidates(list(batch.values()), pool)
                candidates |= zip(batch, found, strict=True)
        return [
            self._page(request, start, candidates[number], generation)
            if isinstance(start, Cursor)
            else start
            for number, (request, start) in enumerate(zip(requests, starts, strict=True))
        ]

    def listed(self, requests: Sequence[SearchRequest]) -> list[Rows]:
        """Of each request the rows of all hits that an order other than by relevance lists: of the
        larger pool those that are maybe right or hold most of the words, and as probable as the
        request wants. Where the judge says nothing, all."""
        clips, found = self.catalogue.last_row(), []
        for request, candidates in zip(
            requests, self.store.candidates(requests, POOLS[-1]), strict=True
        ):
            known = self._with_cosines(request, candidates)
            sorted_request = replace(request, sort="newest")
            judged = JudgedSearch(self.judge, sorted_request, known, clips)
            ranking = fuse(known.nearest, known.matching, known.shares, None)
            cosines = _cosines(known)
            hits = judged.select(list(ranking), cosines)
            found.append(np.array([hit.row for hit in hits], dtype=np.int64))
        return found

    def _page(
        self, request: SearchRequest, start: Cursor, candidates: Candidates, generation: int
    ) -> Page:
        """`candidates`: of the smallest pool."""
        candidates = self._with_cosines(request, candidates)
        judged = JudgedSearch(self.judge, request, candidates, start.up_to)
        ranking, cosines, offset = self._ranking(request, start, candidates, judged)
        window = ranking[offset : offset + request.k + SPARE_HITS]
        clips = self.clips.get([row for fused in window for row in (fused.row, *fused.duplicates)])
        present = [fused for fused in window if fused.row in clips]
        moments: dict[int, tuple[Moment, ...]] = {}
        if request.vector is not None and _wants_moments(request):
            found = [clips[fused.row].clip for fused in present[: request.k]]
            finder = MomentFinder(self.catalogue, self.store, self.window_seconds)
            moments = finder.find(found, request.vector)
        chances = judged.probabilities(present[: request.k], cosines)
        hits = [
            self._hit(
                request,
                fused,
                clips,
                cosines.get(fused.row),
                candidates.weights,
                moments.get(fused.row, ()),
                chance,
            )
            for fused, chance in zip(present[: request.k], chances, strict=True)
        ]
        cursor = ""
        if hits and len(present) > request.k:
            last = tuple(hit.clip.row for hit in hits[-LAST_HITS:])
            end = Cursor(start.up_to, last, offset + len(hits))
            cursor = end.encode(request.search_key())
        understood = understood_words(request, candidates.weights, hits)
        return Page(hits, cursor, generation, understood, request.query.without, judged.sure)

    def _with_cosines(self, request: SearchRequest, candidates: Candidates) -> Candidates:
        """The candidates with the cosines of those that the store has missed: of their own vectors.
        One that has been removed meanwhile is none."""
        cosines, vector = candidates.matching_cosines, request.vector
        if cosines is None or vector is None or not np.isnan(cosines).any():
            return candidates
        own = self.catalogue.vectors(candidates.matching[np.isnan(cosines)].tolist())
        pairs = zip(candidates.matching.tolist(), cosines.tolist(), strict=True)
        filled = np.array(
            [float(own[row] @ vector) if row in own else cosine for row, cosine in pairs],
            np.float32,
        )
        known = ~np.isnan(filled)
        return replace(
            candidates,
            matching=candidates.matching[known],
            shares=candidates.shares[known],
            matching_cosines=filled[known],
        )

    def _ranking(
        self, request: SearchRequest, start: Cursor, candidates: Candidates, judged: JudgedSearch
    ) -> tuple[Sequence[FusedHit], dict[int, float], int]:
        """(the ranking as deep as the page needs, known cosines by row, where the page begins)."""
        needed = request.k + SPARE_HITS
        ranking: dict[int, FusedHit] = {}
        cosines: dict[int, float] = {}
        # The first page of a plain ranking needs only its best.
        plain = not start.last and not request.distinct and request.sort == "relevance"
        plain = plain and not request.min_probability
        for pool in _pools(request):
            if ranking:
                (more,) = self.store.candidates([_bounded(request, start)], pool)
                candidates = self._with_cosines(request, more)
            nearest, matching = candidates.nearest, candidates.matching
            # Hits of a smaller pool keep their places.
            for fused in fuse(nearest, matching, candidates.shares, needed if plain else None):
                ranking.setdefault(fused.row, fused)
            cosines |= _cosines(candidates)
            wanted = judged.select(list(ranking.values()), cosines)
            ordered = self._sorted(wanted, request.sort)
            if request.distinct:
                ordered = fold_duplicates(ordered, self.clips, self.catalogue, self.window_seconds)
            offset = start.offset([fused.row for fused in ordered])
            if len(ordered) >= offset + needed or max(len(nearest), len(matching)) < pool:
                break
        return ordered, cosines, offset

    def _sorted(self, ranking: Sequence[FusedHit], sort: Sort) -> Sequence[FusedHit]:
        """The ranking in another order, without clips that have been removed."""
        if sort == "relevance":
            return ranking
        clips = self.clips.get([fused.row for fused in ranking])
        present = [fused for fused in ranking if fused.row in clips]
        return sorted(present, key=lambda fused: SORT_KEYS[sort](clips[fused.row].clip))

    def _hit(
        self,
        request: SearchRequest,
        fused: FusedHit,
        clips: Mapping[int, CachedClip],
        cosine: float | None,
        weights: Mapping[str, float],
        moments: tuple[Moment, ...],
        probability: float | None,
    ) -> Hit:
        """`clips`: of the page, by row; `weights`: of stems; `moments`: all, best first."""
        cached = clips[fused.row]
        return Hit(
            clip=cached.clip,
            score=fused.score,
            cosine=cosine,
            vector_rank=fused.vector_rank,
            word_rank=fused.word_rank,
            share=fused.share,
            matched=matched_words(cached, request, weights) if fused.word_rank else (),
            start=moments[0].start if moments else 0.0,
            alike=tuple(clips[row].clip.id for row in fused.duplicates if row in clips),
            moments=moments[: request.moments],
            probability=probability,
            confidence=None if probability is None else confidence(probability),
        )


def _start(request: SearchRequest, last_row: int) -> Cursor | CursorError:
    """Where the request's page begins."""
    if not request.cursor:
        return Cursor(last_row)
    try:
        return Cursor.decode(request.cursor, request.search_key())
    except CursorError as error:
        return error


def _cosines(candidates: Candidates) -> dict[int, float]:
    """The cosines of candidates, by row."""
    nearest, matching = candidates.nearest.tolist(), candidates.matching.tolist()
    cosines = dict(zip(nearest, candidates.cosines.tolist(), strict=True))
    if candidates.matching_cosines is not None:
        cosines |= zip(matching, candidates.matching_cosines.tolist(), strict=True)
    return cosines


def _bounded(request: SearchRequest, start: Cursor) -> SearchRequest:
    """The request without clips that were added after the first page."""
    if not request.cursor:
        return request
    return replace(request, where=replace(request.where, up_to=start.up_to))


def _wants_moments(request: SearchRequest) -> bool:
    """Whether the response tells moments of hits."""
    fields = request.fields
    return request.moments > 0 and (not fields or "moments" in fields or "start" in fields)


def _pools(request: SearchRequest) -> Sequence[int]:
    """How many candidates to take, and how many where those are too few."""
    return POOLS if request.sort == "relevance" else POOLS[-1:]
