"""What a vector store does: find the nearest vectors, follow the catalogue, save itself.

Conventions: vectors are unit float32 [n, D], scores are inner products (cosines), rows are
the catalogue's clip numbers. A store is derived from the catalogue: it can always be thrown
away and built anew from `Catalogue.changes(0)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from earmark.index.catalogue.records import Changes
from earmark.index.lexical.expansion import Others
from earmark.index.types import Filter
from earmark.model.core.arrays import Array, Rows

NO_OTHERS: Others = MappingProxyType({})
STANDING = 5  # related words that stand for one, of those that clips hold
TOGETHER = 0.9  # of a word's weight, what all that stand for it weigh at most


@dataclass(frozen=True)
class Wanted:
    """What candidates are to be near to, a vector [D], and to hold: words (stems).

    `related`: words that may stand for those that no clip holds.
    """

    vector: Array | None
    words: tuple[str, ...]
    where: Filter
    related: Others = field(default_factory=dict)


@dataclass(frozen=True)
class Candidates:
    """Both rankings of a search: the nearest clips `near` [n] and their cosines, and those that
    hold words, `holding` [m], and their shares of them.

    `held`: the cosines of `holding` too, where they are known; `weights`: of the stems that were
    looked for.
    """

    near: Rows
    cosines: Array
    holding: Rows
    shares: Array
    held: Array | None = None
    weights: Mapping[str, float] = field(default_factory=dict)


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

    def weights(self, words: Sequence[str], related: Others = NO_OTHERS) -> dict[str, float]:
        """What words (stems, see `index.lexical.stemming`) weigh here, and those that stand for
        them.

        See `word_weights`.
        """

    def match(
        self,
        words: Sequence[str] | Mapping[str, float],
        k: int,
        where: Filter | None = None,
        vector: Array | None = None,
    ) -> tuple[Rows, Array]:
        """The k clips that hold most of the words (stems), best first; of their `weights`.

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
        weights = store.weights(each.words, each.related)
        holding, shares = store.match(weights, most, each.where, each.vector)
        found.append(Candidates(near, cosines, holding, shares, weights=weights))
    return found


def word_weights(
    words: Sequence[str],
    related: Others,
    holders: Callable[[str], int],
    clips: Callable[[], int],
) -> dict[str, float]:
    """Words' weights by inverse document frequency; those of all words add to 1.

    `holders`: of a word, how many of all `clips`; asked for no more words than it needs. For a word
    that no clip holds its nearest related words weigh that clips hold: the less the farther they
    are and the more clips hold them, together less than a word. So do those that `related` has
    beside the words, and they add to what is 1 without them. Rounded, so that clips that hold the
    same words have the same share.
    """
    counts = {word: holders(word) for word in words}

    def held(word: str) -> bool:
        counts[word] = counts[word] if word in counts else holders(word)
        return counts[word] > 0

    unheld = [word for word in words if not counts[word] and word in related]
    beside = [word for word in related if word not in counts]
    standing = {
        word: list(islice((each for each in related[word] if held(each.stem)), STANDING))
        for word in (*unheld, *beside)
    }
    alive = clips() if any(counts.values()) else 0
    rarity = {word: math.log(1 + alive / count) for word, count in counts.items() if count}
    found = {word: rarity[word] for word in words if word in rarity}
    total = sum(found.values())
    for word, each in standing.items():
        parts = {one.stem: one.weight * rarity[one.stem] for one in each}
        whole = max((rarity[stem] for stem in parts), default=0.0)
        total += whole if word in unheld or not total else 0.0
        scale = min(1.0, TOGETHER * whole / max(sum(parts.values()), 1e-12))
        for stem, part in parts.items():
            found[stem] = found.get(stem, 0.0) + scale * part
    rounded = {word: round(weight / total, 4) for word, weight in found.items()}
    return {word: weight for word, weight in rounded.items() if weight}


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
