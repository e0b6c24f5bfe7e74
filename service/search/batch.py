"""A batch of searches by words, from requests to response bodies, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson

from earmark.index.library import Library
from earmark.index.types import Page, SearchRequest
from earmark.model.core.errors import EarmarkError
from earmark.service.schemas.hits import SearchBody


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """A page of hits as JSON (`SearchBody`), and the library's generation of the hits."""

    body: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The rendered page of each request of a batch, or its error.

    Seconds that the batch took: `search_seconds`, `render_seconds`, and `cpu_seconds` of the thread
    in both. `recalls`: recalls measured since the last batch. `generation`: of the store then.
    """

    pages: Sequence[RenderedPage | Exception]
    search_seconds: float
    render_seconds: float
    cpu_seconds: float
    generation: int
    recalls: list[float] = field(default_factory=list)


def run_batch(library: Library, requests: Sequence[SearchRequest]) -> BatchResult:
    """Search and render; without requests, only follow what was written. Raises what the library
    raises; a bug fails only the requests that cause it."""
    cpu_started, started = time.thread_time(), time.perf_counter()
    found = _search(library, requests)
    searched = time.perf_counter()
    pages = [
        RenderedPage(_render(page, request.fields), page.generation)
        if isinstance(page, Page)
        else page
        for page, request in zip(found, requests, strict=True)
    ]
    rendered = time.perf_counter()
    return BatchResult(
        pages,
        searched - started,
        rendered - searched,
        time.thread_time() - cpu_started,
        library.store.generation,
    )


def _search(library: Library, requests: Sequence[SearchRequest]) -> Sequence[Page | Exception]:
    if not requests:
        library.refresh()
        return []
    try:
        return library.search_batch(requests)
    except EarmarkError:
        raise
    except Exception as error:  # noqa: BLE001 (the request that causes it gets it)
        if len(requests) == 1:
            return [error]
        return [page for request in requests for page in _search(library, [request])]


def _render(page: Page, fields: Sequence[str]) -> bytes:
    body = SearchBody.fields_of(page)
    if fields:
        body["hits"] = [{name: hit[name] for name in fields} for hit in body["hits"]]
    return orjson.dumps(body)
