"""What a person types: words, words that must not be there, words that weigh more.

`rain thunder` asks for both; `-wind` for sounds without wind; `thunder^2` weighs twice as much.
A hyphen inside a word is part of it.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from earmark.index.lexical.expansion import Others, Standing
from earmark.index.lexical.stemming import stems
from earmark.index.types import Filter
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder, ParsedTags, unit
from earmark.model.text.normalize import clean_tags
from earmark.model.text.thesaurus import Thesaurus, load_thesaurus

MIN_WEIGHT, MAX_WEIGHT = 0.1, 10.0
NEGATIVE_SHARE = 0.5  # of the unwanted direction that is taken away
MOST_KEPT = 8_192  # queries

_WEIGHTED = re.compile(r"(.+)\^(\d+(?:\.\d+)?)$")
_NEGATIVE = re.compile(r"-(\w.*)$")


@dataclass(frozen=True)
class Query:
    """A text taken apart. `weights`: of words of `text` that have one, within 0.1 to 10."""

    text: str
    without: tuple[str, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)


def parse(text: str) -> Query:
    """Any text is a query; what is not written as above is taken as words."""
    words, without, weights = [], [], {}
    for piece in text.split():
        negative = _NEGATIVE.match(piece)
        weighted = _WEIGHTED.match(piece)
        if negative:
            without.append(negative[1])
        elif weighted:
            words.append(weighted[1])
            weights[weighted[1]] = min(max(float(weighted[2]), MIN_WEIGHT), MAX_WEIGHT)
        else:
            words.append(piece)
    return Query(" ".join(words), tuple(without), weights)


def weighted(query: Query, tags: Mapping[str, float]) -> Query:
    """The query, and tags with their weights; those below 0 are not wanted."""
    wanted = {tag: weight for tag, weight in tags.items() if weight >= 0}
    without = [tag for tag, weight in tags.items() if weight < 0]
    words = [word for tag in wanted for word in tag.split()]
    weights = {
        word: min(max(weight, MIN_WEIGHT), MAX_WEIGHT)
        for tag, weight in wanted.items()
        for word in tag.split()
        if weight != 1
    }
    return Query(
        " ".join([*query.text.split(), *words]),
        (*query.without, *(word for tag in without for word in tag.split())),
        query.weights | weights,
    )


def narrowed(where: Filter, query: Query) -> Filter:
    """The filter, and no clip tagged with what the query does not want."""
    if not query.without:
        return where
    unwanted = [*(word.lower() for word in query.without), *clean_tags(query.without)]
    return replace(where, no_tags=(*where.no_tags, *dict.fromkeys(unwanted)))


@dataclass(frozen=True)
class Text:
    """A query as the model takes it: the words it uses, the query's unit vector [D], None where it
    uses none, the stems by which clips hold its words, and what may stand for words that none does.
    """

    understood: ParsedTags
    vector: Array | None
    words: dict[str, str]
    related: Others


class TextVectors:
    """Queries → vectors, several at a time; the last ones are kept. Safe between threads."""

    def __init__(self, embedder: Embedder, most: int = MOST_KEPT) -> None:
        self._embedder, self._most = embedder, most
        self._thesaurus = load_thesaurus()  # read now: processes that are forked later share it
        self._kept: OrderedDict[str, Text] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, queries: Sequence[Query]) -> list[Text]:
        """What each query is to the model."""
        keys = [repr(query) for query in queries]
        with self._lock:
            known = {key: self._kept[key] for key in keys if key in self._kept}
            for key in known:
                self._kept.move_to_end(key)
        new = {key: query for key, query in zip(keys, queries, strict=True) if key not in known}
        if new:
            made = dict(zip(new, self._made(list(new.values())), strict=True))
            known |= made
            with self._lock:
                self._kept |= made
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return [known[key] for key in keys]

    def _made(self, queries: Sequence[Query]) -> list[Text]:
        understood = [self._embedder.parse_tags(query.text) for query in queries]
        vectors = embed(self._embedder, queries, understood, self._thesaurus)
        texts = []
        for query, each, vector in zip(queries, understood, vectors, strict=True):
            words = stems(query.text)
            related = Standing(query.text, words, self._embedder.words, self._thesaurus)
            texts.append(Text(each, vector, words, related))
        return texts


def embed(
    embedder: Embedder,
    queries: Sequence[Query],
    understood: Sequence[ParsedTags],
    thesaurus: Thesaurus | None = None,
) -> list[Array | None]:
    """The queries' unit vectors [D]; None where no word of one is understood.

    The wanted tags as one set, drawn towards those that weigh more, away from those unwanted;
    what the wanted ones lead to in a thesaurus counts too (`Embedder.embed_tags`).
    """
    plain = [number for number, each in enumerate(understood) if each.tags]
    sets = embedder.embed_tags([understood[number].tags for number in plain], thesaurus)
    wanted = dict(zip(plain, sets, strict=True))
    vectors: list[Array | None] = []
    for number, query in enumerate(queries):
        vector = wanted.get(number, np.zeros(embedder.dim, dtype=np.float32))
        if query.weights:
            vector = vector + _drawn(embedder, understood[number].tags, query.weights)
        unwanted = embedder.parse_tags(query.without).tags if query.without else []
        if unwanted:
            length = float(np.linalg.norm(vector)) or 1.0
            vector = vector - NEGATIVE_SHARE * length * embedder.embed_tags([unwanted])[0]
        vectors.append(unit(vector[None])[0] if vector.any() else None)
    return vectors


def _drawn(embedder: Embedder, tags: Sequence[str], weights: dict[str, float]) -> Array:
    """Where weights draw the vector: nowhere when all are 1."""
    own = dict.fromkeys(tags, 1.0)
    for word, weight in weights.items():
        own |= {tag: weight for tag in embedder.parse_tags(word).tags if tag in own}
    uneven = [(tag, weight - 1.0) for tag, weight in own.items() if weight != 1.0]
    if not uneven:
        return np.zeros(embedder.dim, dtype=np.float32)
    vectors = embedder.embed_tags([[tag] for tag, _ in uneven])
    more = np.array([weight for _, weight in uneven], dtype=np.float32)
    return np.asarray(more @ vectors / len(tags), dtype=np.float32)
