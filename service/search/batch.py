"""Searches by words → the bodies of their answers: a batch together, wherever it is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from earmark.index.library import Found, Library, Search
from earmark.model.core.errors import EarmarkError
from earmark.service.schemas.hits import SearchBody


@dataclass(frozen=True, slots=True)
class Ask:
    """A search, and which fields of its hits are wanted; none named: all."""

    search: Search
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, JSON, and the library's generation that it is of."""

    body: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class Answers:
    """One for each ask of a batch, or what is wrong with it.

    Seconds of the batch: in all, by stage, and of work, which waits for nobody. `recalls`: measured
    since the last batch.
    """

    each: Sequence[Answer | Exception]
    searching: float
    rendering: float
    work: float
    recalls: list[float] = field(default_factory=list)


def answer(library: Library, asks: Sequence[Ask]) -> Answers:
    """Answers to a batch. Raises what the library raises; a fault of ours costs those alone that
    cause it."""
    worked, begun = time.thread_time(), time.perf_counter()
    found = _found(library, [ask.search for ask in asks])
    searched = time.perf_counter()
    each = [
        Answer(_body(own, ask.fields), own.generation) if isinstance(own, Found) else own
        for own, ask in zip(found, asks, strict=True)
    ]
    ended = time.perf_counter()
    return Answers(each, searched - begun, ended - searched, time.thread_time() - worked)


def _found(library: Library, searches: Sequence[Search]) -> Sequence[Found | Exception]:
    try:
        return library.search_many(searches)
    except EarmarkError:
        raise
    except Exception as error:  # noqa: BLE001 (whoever asked gets it)
        if len(searches) == 1:
            return [error]
        return [own for each in searches for own in _found(library, [each])]


def _body(found: Found, fields: Sequence[str]) -> bytes:
    body = SearchBody.fields_of(found)
    if fields:
        body["hits"] = [{name: hit[name] for name in fields} for hit in body["hits"]]
    return orjson.dumps(body)
