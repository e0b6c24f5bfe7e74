"""Query syntax, and queries as the model encodes them.

`rain thunder` asks for both; `-wind` for sounds without wind; `thunder^2` weighs twice as much.
A hyphen inside a word is part of it.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from cachetools import LRUCache

from earmark.index.lexical.expansion import RelatedWords, is_word
from earmark.index.lexical.stemming import stem, stems, tokens
from earmark.index.lexical.terms import half_typed, query_terms, shorter_stems
from earmark.index.types import Filter, Query, SearchRequest
from earmark.model.background import Background
from earmark.model.core.arrays import Array
from earmark.model.embedder import Embedder, ParsedTags, unit
from earmark.model.text.normalize import clean_tags
from earmark.model.text.phrase import MAX_LETTERS
from earmark.model.text.text_key import distinct
from earmark.model.text.thesaurus import load_thesaurus
from earmark.model.text.word_vectors import COMMON_WORDS

MIN_WEIGHT, MAX_WEIGHT = 0.1, 10.0
NEGATIVE_SHARE = 0.5  # of the unwanted direction that is subtracted
CACHED_QUERIES = 8_192
SAME_MEANING = 0.8  # cosine of a word and a tag from which the model takes one for the other

_WEIGHTED = re.compile(r"(.+)\^(\d+(?:\.\d+)?)$")
_NEGATIVE = re.compile(r"-(\w.*)$")


def parse(text: str, *, typing: bool = False) -> Query:
    """Any text is a query; pieces that do not follow the syntax are words.

    `typing`: it is being typed, so that its last word may be half typed, unless a space follows.
    """
    words, without, weights, last = [], [], {}, ""
    is_open = typing and not text[-1:].isspace()
    for piece in text.split():
        negative = _NEGATIVE.match(piece)
        weighted = _WEIGHTED.match(piece)
        last = "" if negative or weighted else piece
        if negative:
            without.append(negative[1])
        elif weighted:
            words.append(weighted[1])
            weights[weighted[1]] = _clamp(float(weighted[2]))
        else:
            words.append(piece)
    return Query(" ".join(words), tuple(without), weights, last if is_open else "")


def add_tags(query: Query, tags: Mapping[str, float]) -> Query:
    """The query and weighted tags; a tag whose weight is below 0 is unwanted."""
    wanted = {tag: weight for tag, weight in tags.items() if weight >= 0}
    unwanted = [tag for tag, weight in tags.items() if weight < 0]
    words = [word for tag in wanted for word in tag.split()]
    weights = {
        word: _clamp(weight)
        for tag, weight in wanted.items()
        for word in tag.split()
        if weight != 1
    }
    return Query(
        " ".join([*query.text.split(), *words]),
        (*query.without, *(word for tag in unwanted for word in tag.split())),
        query.weights | weights,
        query.last,
    )


def _clamp(weight: float) -> float:
    return min(max(weight, MIN_WEIGHT), MAX_WEIGHT)


def exclude_unwanted(where: Filter, query: Query) -> Filter:
    """The filter, and no clip tagged with a word that the query does not want."""
    if not query.without:
        return where
    unwanted = distinct([*query.without, *clean_tags(query.without)])
    return replace(where, no_tags=(*where.no_tags, *unwanted))


class QueryEncoder:
    """Fills in requests what the model makes of their words, a batch at a time. Thread-safe.

    The last 8,192 queries are cached. Of a half-typed word the model reads the most usual of its
    own tags that begin so, unless it may be a whole word in a language that the model reads.
    """

    def __init__(self, embedder: Embedder, max_queries: int = CACHED_QUERIES) -> None:
        self._embedder = embedder
        self._thesaurus = load_thesaurus()  # read now: processes that are forked later share it
        self._cache: LRUCache[tuple[str, str], SearchRequest] = LRUCache(max_queries)
        self._lock = threading.Lock()

    def encode(self, requests: Sequence[SearchRequest]) -> list[SearchRequest]:
        """The requests with vectors, terms, related and understood words of their queries, and
        filters that exclude unwanted words."""
        keys = [(repr(request.query), request.query.last) for request in requests]
        cache = self._cache
        with self._lock:
            encoded = {key: cache[key] for key in keys if key in cache}
        new = {
            key: request.query
            for key, request in zip(keys, requests, strict=True)
            if key not in encoded
        }
        if new:
            added = dict(zip(new, self._encode(list(new.values())), strict=True))
            encoded |= added
            with self._lock:
                cache.update(added)
        return [
            replace(
                request,
                where=exclude_unwanted(request.where, request.query),
                vector=encoded[key].vector,
                stems=encoded[key].stems,
                related=encoded[key].related,
                understood=encoded[key].understood,
                level=encoded[key].level,
            )
            for key, request in zip(keys, requests, strict=True)
        ]

    def _encode(self, queries: Sequence[Query]) -> list[SearchRequest]:
        """An encoded request of each query."""
        understood = [self._read(query) for query in queries]
        vectors = embed(self._embedder, queries, understood)
        levels = _levels(self._embedder.background, vectors)
        requests = []
        for query, words, vector, level in zip(queries, understood, vectors, levels, strict=True):
            # Of a long text, what the model reads of it.
            read = self._embedder.parse_tags(query.text).phrase or query.text
            related = RelatedWords(
                read, stems(read), self._embedder.words, self._thesaurus, half_typed(query.last)
            )
            terms = query_terms(query.text)
            requests.append(
                SearchRequest(
                    query,
                    vector=vector,
                    stems=terms,
                    related=related,
                    understood=words,
                    level=level,
                )
            )
        return requests

    def _read(self, query: Query) -> ParsedTags:
        """The query as the model reads it, with the tag that a half-typed word is taken for."""
        typed = half_typed(query.last)
        tag = "" if self._is_whole(typed, query.last) else self._tag_beginning(typed)
        if not tag or len(query.text) > MAX_LETTERS:
            return self._embedder.parse_tags(query.text)
        pieces = query.text.split()
        place = len(pieces) - 1 - pieces[::-1].index(query.last)
        pieces[place] = " ".join([*tokens(query.last)[:-1], tag])
        read = self._embedder.parse_tags(" ".join(pieces))
        return replace(read, guessed={**read.guessed, typed: tag})

    def _is_whole(self, typed: str, last: str) -> bool:
        """Whether a last word may be whole, or there is none. `last`: as it is written, in which an
        accent tells that it begins no English word."""
        if not typed or typed in self._embedder.vocabulary or is_word(typed, self._thesaurus):
            return True
        return not last.isascii() or self._embedder.words.is_known(typed)

    def _tag_beginning(self, typed: str) -> str:
        """The most usual tag of the model that begins so; "" where none does.

        Also where that is a rare word and the model takes the word as it is for a tag: `geige` is
        a violin to it, not the beginning of geiger.
        """
        found = [tag for tag in self._usual_tags if tag.startswith(typed)]
        if not found and typed not in self._embedder.words:
            shorter = shorter_stems(typed)  # "barki"
            found = [tag for tag in self._usual_tags if stem(tag) in shorter]
        if not found or (self._tag_ranks[found[0]] >= COMMON_WORDS and self._is_heard(typed)):
            return ""
        return found[0].replace("-", " ")

    def _is_heard(self, typed: str) -> bool:
        """Whether the model takes a word for one of its tags."""
        pieces = self._embedder.parse_tags(typed).pieces
        if not pieces:
            return False
        cosines = self._embedder.embed_tags([pieces]) @ self._embedder.vocabulary_vectors.T
        return bool(cosines.max() >= SAME_MEANING)

    @cached_property
    def _usual_tags(self) -> list[str]:
        """The tags of the model, the most frequent ones in texts first."""
        ranks = self._tag_ranks
        return sorted(ranks, key=lambda tag: (ranks[tag], tag))

    @cached_property
    def _tag_ranks(self) -> dict[str, float]:
        """The rank of each tag's first word among the words of texts, from 0."""
        tags = {tag: tag.partition("-")[0] for tag in self._embedder.vocabulary}
        heads = set(tags.values())
        ranks = {
            word: rank for rank, word in enumerate(self._embedder.words.words) if word in heads
        }
        return {tag: ranks.get(head, math.inf) for tag, head in tags.items()}


def _levels(
    background: Background | None, vectors: Sequence[Array | None]
) -> list[tuple[float, float] | None]:
    """Mean and deviation of each query's cosines with sounds at large; None for one without a
    vector, and where the model states no background."""
    known = [vector for vector in vectors if vector is not None]
    if background is None or not known:
        return [None] * len(vectors)
    means, deviations = background.moments(np.stack(known))
    levels = iter(zip(means.tolist(), deviations.tolist(), strict=True))
    return [None if vector is None else next(levels) for vector in vectors]


def embed(
    embedder: Embedder, queries: Sequence[Query], understood: Sequence[ParsedTags]
) -> list[Array | None]:
    """The queries' unit vectors [D]; None for a query of which the model knows no word.

    What is wanted is embedded as the whole phrase, or as the set of its tags (`ParsedTags.pieces`).
    Weights pull the vector towards heavier tags; unwanted words push it away from theirs. All are
    one batch of the model.
    """
    parts = [
        _Parts(
            tuple(words.pieces),
            tuple(embedder.parse_tags(query.without).tags) if query.without else (),
            _uneven(embedder, words.tags, query.weights),
            len(words.tags),
        )
        for query, words in zip(queries, understood, strict=True)
    ]
    sets = [tags for part in parts for tags in part.sets() if tags]
    embedded = dict(zip(sets, embedder.embed_tags(sets), strict=True))
    embedded[()] = np.zeros(embedder.dim, dtype=np.float32)
    return [part.vector(embedded) for part in parts]


@dataclass(frozen=True)
class _Parts:
    """What a query's vector is made of: sets of tags that are wanted and unwanted, by how much the
    weights of tags differ from 1, and of how many tags these are."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    uneven: dict[str, float]
    count: int

    def sets(self) -> list[tuple[str, ...]]:
        return [self.wanted, self.unwanted, *((tag,) for tag in self.uneven)]

    def vector(self, embedded: Mapping[tuple[str, ...], Array]) -> Array | None:
        """`embedded`: a unit vector [D] of each set, of zeros for the empty one."""
        vector = embedded[self.wanted]
        for tag, difference in self.uneven.items():
            vector = vector + difference / self.count * embedded[tag,]
        length = float(np.linalg.norm(vector)) or 1.0
        vector = vector - NEGATIVE_SHARE * length * embedded[self.unwanted]
        return unit(vector[None])[0] if vector.any() else None


def _uneven(embedder: Embedder, tags: Sequence[str], weights: dict[str, float]) -> dict[str, float]:
    """By how much the weights of tags differ from 1, where they do."""
    by_tag = dict.fromkeys(tags, 1.0)
    for word, weight in weights.items():
        by_tag |= {tag: weight for tag in embedder.parse_tags(word).tags if tag in by_tag}
    uneven = [(tag, weight - 1.0) for tag, weight in by_tag.items() if weight != 1.0]
    return dict(uneven[: embedder.max_tags])
