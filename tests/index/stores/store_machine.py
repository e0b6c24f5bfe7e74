"""Any vector store beside a dictionary: a state machine of writes, searches and reopenings."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from earmark.index.lexical.terms import query_terms
from earmark.index.stores.base import VectorStore
from earmark.index.types import Filter, SearchRequest
from earmark.model.core.arrays import Array, Rows
from tests.index.made import vector
from tests.index.stores.clip_model import (
    BEGINNINGS,
    FILTERS,
    HELD,
    ROWS,
    SPOKEN_WORDS,
    Held,
    changes,
    held_words,
    is_more,
    passes,
)

NEAR = 1e-5  # scores as near as this count as equal

Opened = Callable[[str], VectorStore]


class Machine(RuleBasedStateMachine):
    """Writes, searches and reopens a store, and keeps the same in a dictionary."""

    numbers = itertools.count()

    def __init__(self, opened: Opened, snapshot: Path) -> None:
        super().__init__()
        self.opened, self.snapshot = opened, snapshot
        self.library = f"library {next(self.numbers)}"
        self.store: VectorStore = opened(self.library)
        self.model: dict[int, Held] = {}
        self.generation = 0
        self.last = changes(0, {})

    @initialize(put=st.dictionaries(ROWS, HELD, max_size=25))
    def begin(self, put: dict[int, Held]) -> None:
        self.write(put, set(), 1)

    @rule(
        put=st.dictionaries(ROWS, HELD, max_size=8),
        gone=st.sets(ROWS, max_size=8),
        steps=st.integers(1, 3),
    )
    def write(self, put: dict[int, Held], gone: set[int], steps: int) -> None:
        self.generation += steps
        self.last = changes(self.generation, put, gone - put.keys())
        self.store.apply(self.last)
        self.model = {row: own for row, own in self.model.items() if row not in gone} | put

    @rule(
        others=st.dictionaries(ROWS, HELD, min_size=1, max_size=8),
        put=st.dictionaries(ROWS, HELD, max_size=3),
    )
    def edit(self, others: dict[int, Held], put: dict[int, Held]) -> None:
        """Clips that are there get other metadata, with or without their vectors."""
        edited = {
            row: replace(other, seed=self.model[row].seed, windows=self.model[row].windows)
            for row, other in others.items()
            if row in self.model and row not in put
        }
        self.generation += 1
        if self.store.takes_edits:
            apart = changes(self.generation, edited)
            none = np.zeros((0, 0), np.float32)
            self.last = replace(changes(self.generation, put), edited=replace(apart, vectors=none))
        else:
            self.last = changes(self.generation, put | edited)
        self.store.apply(self.last)
        self.model |= put | edited

    @rule()
    def the_last_again(self) -> None:
        self.store.apply(self.last)

    @rule(put=st.dictionaries(ROWS, HELD, max_size=4), gone=st.sets(ROWS), age=st.integers(0, 3))
    def stale(self, put: dict[int, Held], gone: set[int], age: int) -> None:
        self.store.apply(changes(max(0, self.generation - age), put, gone))

    @rule()
    def reopen(self) -> None:
        self.store.wait_until_idle()
        self.store.save(self.snapshot)
        self.store.close()
        self.store = self.opened(self.library)
        assert self.store.load(self.snapshot)

    @rule()
    def another_library_or_size_is_not_taken_over(self) -> None:
        self.store.save(self.snapshot)
        other = self.opened(self.library + "!")
        assert not other.load(self.snapshot)
        assert (len(other), other.generation) == (0, 0)
        other.close()

    @rule(
        seed=st.integers(0, 30),
        k=st.integers(1, 30) | st.just(1_000_000),
        where=FILTERS,
        least=st.sampled_from([-1.0, -0.5, 0.1, 0.7]),
        offset=st.integers(0, 20),
    )
    def search(self, seed: int, k: int, where: Filter | None, least: float, offset: int) -> None:
        found = self.store.search(vector(seed), k, where, min_score=least, offset=offset)
        self.nearest(found, seed, k, where, least, offset)
        if (exact := self.store.search_exact(vector(seed), k, where)) is not None:
            self.nearest(exact, seed, k, where)

    def nearest(
        self,
        found: tuple[Rows, Array],
        seed: int,
        k: int,
        where: Filter | None,
        least: float = -1.0,
        offset: int = 0,
    ) -> None:
        """They are what a search should find."""
        query = vector(seed)
        rows, scores = found
        exact = {
            row: clip.nearness(query)
            for row, clip in self.model.items()
            if passes(row, clip, where or Filter())
        }
        expected = sorted((one for one in exact.values() if one >= least), reverse=True)
        assert (rows.dtype, scores.dtype, rows.shape) == (np.int64, np.float32, scores.shape)
        np.testing.assert_allclose(scores, expected[offset : offset + k], atol=NEAR, rtol=0)
        own = rows.tolist()
        np.testing.assert_allclose(scores, [exact[row] for row in own], atol=NEAR, rtol=0)
        assert len(set(own)) == len(own)
        assert np.lexsort((rows, -scores)).tolist() == list(range(len(own)))

    @rule(
        asked=st.lists(SPOKEN_WORDS, max_size=8),
        beginning=st.sets(BEGINNINGS, max_size=1),
        k=st.integers(1, 30) | st.just(1_000_000),
        where=FILTERS,
        seed=st.none() | st.integers(0, 30),
    )
    def match(
        self,
        asked: list[str],
        beginning: set[str],
        k: int,
        where: Filter | None,
        seed: int | None,
    ) -> None:
        words = [*query_terms(" ".join(asked)), *beginning]
        query = None if seed is None else vector(seed)
        self.matching(self.store.match(words, k, where, query), words, k, where, seed)

    def matching(
        self,
        answer: tuple[Rows, Array],
        words: list[str],
        k: int,
        where: Filter | None,
        seed: int | None,
    ) -> None:
        """They are what hold the words."""
        query = None if seed is None else vector(seed)
        held = {
            row: held_words(clip, words)
            for row, clip in self.model.items()
            if any(held_words(clip, words)) and passes(row, clip, where or Filter())
        }
        found, shares = answer
        own = found.tolist()
        assert (found.dtype, shares.dtype, found.shape) == (np.int64, np.float32, shares.shape)
        assert len(set(own)) == len(own) == min(k, len(held))
        assert set(own) <= held.keys()
        assert (np.diff(shares) <= 0).all()
        assert ((shares > 0) & (shares <= 1.001)).all()
        near = {row: 0.0 if query is None else self.model[row].nearness(query) for row in held}
        left = held.keys() - own
        for place, (row, share) in enumerate(zip(own, shares.tolist(), strict=True)):
            for other, its in [*zip(own[place + 1 :], shares[place + 1 :].tolist(), strict=True)]:
                assert its == share or held[other] != held[row]
                assert its < share or near[other] <= near[row] + NEAR
                assert its < share or query is not None or other > row
            assert not any(is_more(held[other], held[row]) for other in left)
            for other in left:
                assert held[other] != held[row] or near[other] <= near[row] + NEAR

    @rule(
        asked=st.lists(
            st.tuples(st.lists(SPOKEN_WORDS, max_size=3), FILTERS, st.none() | st.integers(0, 30)),
            max_size=4,
        ),
        limit=st.integers(1, 30) | st.just(1_000),
    )
    def candidates(
        self, asked: list[tuple[list[str], Filter | None, int | None]], limit: int
    ) -> None:
        requests = [
            SearchRequest(
                where=where or Filter(),
                vector=None if seed is None else vector(seed),
                stems=query_terms(" ".join(words)),
            )
            for words, where, seed in asked
        ]
        found = self.store.candidates(requests, limit)
        for both, request, (_, where, seed) in zip(found, requests, asked, strict=True):
            if seed is None:
                assert len(both.nearest) == len(both.cosines) == 0
            else:
                self.nearest((both.nearest, both.cosines), seed, limit, where)
            matching = (both.matching, both.shares)
            self.matching(matching, list(request.stems), limit, where, seed)

    @rule(row=ROWS, seed=st.integers(0, 30))
    def window_scores(self, row: int, seed: int) -> None:
        query = vector(seed)
        found = self.store.window_scores(query, row)
        own = self.model[row].vectors[1:] if row in self.model else ()
        if self.store.columns() is None or not len(own):
            assert found is None
        elif found is not None:
            np.testing.assert_allclose(found, np.stack(own) @ query, atol=NEAR, rtol=0)

    @rule(where=FILTERS)
    def passing(self, where: Filter | None) -> None:
        where = where or Filter()
        found = self.store.passing(where)
        assert found.dtype == np.int64
        assert sorted(found.tolist()) == sorted(
            row for row, clip in self.model.items() if passes(row, clip, where)
        )

    @invariant()
    def counts(self) -> None:
        assert (len(self.store), self.store.generation) == (len(self.model), self.generation)
        assert self.store.description().startswith(self.store.label())
        assert self.store.nbytes() >= 0
        assert self.store.max_changes is None or self.store.max_changes > 0

    @invariant()
    def capabilities(self) -> None:
        assert self.store.forkable != self.store.shared
        if (columns := self.store.columns(Filter())) is not None:
            generation, parts = columns
            clips = sum(len(part) if mask is None else mask.sum() for part, (mask,) in parts)
            assert (generation, clips) == (self.generation, len(self.model))

    def teardown(self) -> None:
        self.store.drop()
        assert (len(self.store), self.store.generation) == (0, 0)
        assert not len(self.store.search(vector(1), 10)[0])
        self.store.close()
