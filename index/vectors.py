"""What a vector store does: find the nearest vectors, follow the catalogue, save itself.

Conventions: vectors are unit float32 [n, D], scores are inner products (cosines), rows are
the catalogue's clip numbers. A store is derived from the catalogue: it can always be thrown
away and built anew from `Catalogue.changes(0)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from index.filters import Filter
from index.records import Array, Changes, Rows


@dataclass(frozen=True)
class Wanted:
    """What candidates are to be near to, a vector [D], and to hold: words (stems)."""

    vector: Array | None
    words: tuple[str, ...]
    where: Filter


@dataclass(frozen=True)
class Candidates:
    """Both rankings of a search: the nearest clips `near` [n] and their cosines, and those that
    hold words, `holding` [m], and their shares of them.

    `held`: the cosines of `holding` too, where they are known.
    """

    near: Rows
    cosines: Array
    holding: Rows
    shares: Array
    held: Array | None = None


class VectorStore(Protocol):
    """A searchable copy of the catalogue's vectors, as of one generation."""

    @property
    def generation(self) -> int:
        """The catalogue's generation that this store has caught up with."""

    @property
    def most_at_once(self) -> int | None:
        """About how many clips `apply` takes at once; None for any number."""

    def __len__(self) -> int: ...

    def apply(self, changes: Changes) -> None:
        """Take in what the catalogue wrote after `generation`; searches see all or nothing."""

    def search(
        self,
        vector: Array,
        k: int,
        where: Filter | None = None,
        *,
        least: float = -1.0,
        offset: int = 0,
    ) -> tuple[Rows, Array]:
        """The k rows nearest to a vector [D] and their scores, best first; fewer if few.

        Only clips that pass the filter, with a score of at least `least`, after the `offset`
        best ones. Equal scores stand in the order of their rows.
        """

    def match(
        self, words: Sequence[str], k: int, where: Filter | None = None, vector: Array | None = None
    ) -> tuple[Rows, Array]:
        """The k clips that hold most of the words (stems, see `index.stems`), best first.

        Their scores, in (0, 1]: the share of the words that a clip's title, tags and description
        hold, words weighing the more the fewer clips hold them (inverse document frequency); half
        where only the description does. Equal ones stand in the order of their nearness to a
        vector [D], or of their rows where there is none.
        """

    def candidates(self, wanted: Sequence[Wanted], most: int) -> list[Candidates]:
        """For each of several searches what `search` and `match` say, up to `most` of each."""

    def passing(self, where: Filter) -> Rows:
        """All rows that pass the filter."""

    def settle(self) -> None:
        """Wait for work that goes on behind the scenes."""

    def nbytes(self) -> int:
        """About the memory that vectors and columns take, in bytes."""

    def save(self, file: Path) -> None:
        """Write a snapshot, whole or not at all."""

    def load(self, file: Path) -> bool:
        """Take over a snapshot of this very library; False where there is none to trust."""

    def kind(self) -> str:
        """The kind of index, for people."""

    def close(self) -> None:
        """Let go of what it holds; nothing is asked of it after that."""


def one_by_one(store: VectorStore, wanted: Sequence[Wanted], most: int) -> list[Candidates]:
    """What `candidates` gives, by a search after the other."""
    found = []
    for each in wanted:
        near, cosines = np.zeros(0, np.int64), np.zeros(0, np.float32)
        if each.vector is not None:
            near, cosines = store.search(each.vector, most, each.where)
        holding, shares = store.match(each.words, most, each.where, each.vector)
        found.append(Candidates(near, cosines, holding, shares))
    return found


def word_weights(counts: Mapping[str, int], clips: int) -> dict[str, float]:
    """Words' weights from how many of the clips hold each, by inverse document frequency.

    Their sum is 1; words that no clip holds have none. Rounded, so that clips that hold the same
    words have the same share.
    """
    own = {word: math.log(1 + clips / count) for word, count in counts.items() if count}
    total = sum(own.values())
    return {word: round(weight / total, 4) for word, weight in own.items()}


def ranked(
    nearest: Callable[[int], tuple[Rows, Array]], wanted: int, most: int
) -> tuple[Rows, Array]:
    """At least the `wanted` best, best first, equal scores in the order of their rows.

    `nearest(count)` gives the `count` best, best first, and of equal scores at their end any ones:
    so it is asked for more until all of those are there, but for no more than `most`.
    """
    asked = min(wanted + 1, most)
    while True:
        rows, scores = nearest(asked)
        if len(rows) < asked or asked == most or scores[-1] < scores[wanted - 1]:
            break
        asked = min(2 * asked, most)
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]
