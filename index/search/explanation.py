"""What a search tells of its words: which of them a hit holds, and which were used at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from earmark.index.lexical.expansion import RelatedWord
from earmark.index.lexical.stemming import is_unspaced, stem
from earmark.index.lexical.terms import (
    BEGINNING,
    MAX_BEGINNING,
    half_typed,
    held_parts,
    is_beginning,
    is_gram,
    query_terms,
    stop_terms,
)
from earmark.index.search.clip_cache import CachedClip
from earmark.index.types import Hit, SearchRequest
from earmark.model.embedder import ParsedTags
from earmark.model.text.phrase import MAX_IGNORED

MAX_WHOLE = 3  # words that a half-typed one was taken for


def matched_words(
    cached: CachedClip, request: SearchRequest, weights: Mapping[str, float]
) -> tuple[str, ...]:
    """The query's words that the clip holds (by stem), or the parts of them, in scripts without
    spaces; for a word that no clip holds, its nearest related word that this clip holds.

    `weights`: of the terms that were matched.
    """
    words: list[str] = []
    for term in dict.fromkeys((*request.stems, *request.related)):
        if is_gram(term):
            continue
        if term in cached.terms and term in request.stems:
            words.append(request.stems[term])
            continue
        if term in request.stems and is_unspaced(request.stems[term]):
            words += held_parts(request.stems[term], cached.terms)
        if term not in weights or term not in request.stems:
            related = (other for other in request.related.get(term, ()) if other.stem in weights)
            words += islice(_held(cached, related, request.stems.get(term, "")), 1)
    return tuple(dict.fromkeys(words))


def _held(cached: CachedClip, related: Iterable[RelatedWord], word: str) -> Iterator[str]:
    """Those of a word's related ones that the clip holds; of a half-typed word, the whole ones."""
    for other in related:
        if is_beginning(other.stem):
            letters = other.stem.removesuffix(BEGINNING)
            yield from (whole for own, whole in cached.words.items() if own.startswith(letters))
        elif other.stem in cached.terms:
            yield cached.words[other.stem] if other.word == word else other.word


def understood_words(
    request: SearchRequest, weights: Mapping[str, float], hits: Sequence[Hit]
) -> ParsedTags | None:
    """What the model understood, without the words that word search used of those that the model
    ignored, with those that neither used, and with what a half-typed word was taken for.

    `weights`: of the terms that were matched. None for a search by sound.
    """
    read = request.understood
    if read is None:
        return None
    ignored = read.ignored
    if ignored:
        used = _Used(request, weights)
        pieces = {piece[:MAX_IGNORED] for piece in request.query.text.split() if used.holds(piece)}
        ignored = [word for word in ignored if word not in pieces and not used.holds(word)]
    if not read.phrase:  # a model of single words reads no stop words
        stops = stop_terms(request.query.text)
        ignored = [*ignored, *(word for term, word in stops.items() if term not in weights)]
    guessed = {**read.guessed, **_whole_words(request, weights, hits)}
    return replace(read, ignored=ignored, guessed=guessed)


class _Used:
    """Which words word search used: those that clips hold, or words that stand for them."""

    def __init__(self, request: SearchRequest, weights: Mapping[str, float]) -> None:
        self._request, self._weights = request, weights

    def holds(self, text: str) -> bool:
        """Whether one of a text's words was used."""
        return any(map(self._is_used, query_terms(text)))

    def _is_used(self, term: str) -> bool:
        if term in self._weights:
            return True
        related = self._request.related.get(term, ())
        return any(other.stem in self._weights for other in related)


def _whole_words(
    request: SearchRequest, weights: Mapping[str, float], hits: Sequence[Hit]
) -> dict[str, str]:
    """The half-typed word, and what it was taken for: by the model, and in the first hits."""
    read, typed = request.understood, half_typed(request.query.last)
    if not typed or stem(typed) in weights:
        return {}
    whole = (
        word
        for hit in hits
        for word in hit.matched
        if word != typed and word.startswith(typed[:MAX_BEGINNING])
    )
    tag = read.guessed.get(typed, "") if read else ""
    words = dict.fromkeys((*([tag] if tag else []), *whole))
    return {typed: ", ".join(islice(words, MAX_WHOLE))} if words else {}
