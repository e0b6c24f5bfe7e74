"""Queries and forms of requests → what the library takes."""

from __future__ import annotations

from typing import Any

from earmark.index.catalogue import metadata
from earmark.index.catalogue.metadata import Metadata
from earmark.index.search.kept_search import KeptSearch
from earmark.index.search.query import add_tags, parse
from earmark.index.types import Filter, SearchRequest
from earmark.model.core.errors import InputError
from earmark.service.schemas.clip_edits import ClipChanges, ClipForm, OriginForm
from earmark.service.schemas.curation.collections import KeptSearchBody
from earmark.service.schemas.curation.facets import FacetsQuery
from earmark.service.schemas.filters import FilterQuery
from earmark.service.schemas.search import SearchQuery, WeightedSearchQuery


def filter_of(query: FilterQuery) -> Filter:
    """The filter in a query. Raises FilterError for what is no range or no date."""
    return Filter(
        all_tags=tuple(query.tag),
        any_tags=tuple(query.any_tag),
        no_tags=tuple(query.no_tag),
        min_duration=query.min_duration,
        max_duration=query.max_duration,
        licences=tuple(query.licence),
        sources=tuple(query.source),
        categories=tuple(query.category),
        sample_rates=tuple(query.sample_rate),
        channels=tuple(query.channels),
        min_loudness=query.min_loudness,
        max_loudness=query.max_loudness,
        added_after=query.added_after,
        added_before=query.added_before,
        collections=tuple(query.collection),
        classifiers=tuple(query.classifier),
    )


_FIELDS = {  # conditions that a query names otherwise than a filter
    "all_tags": "tag",
    "any_tags": "any_tag",
    "no_tags": "no_tag",
    "licences": "licence",
    "sources": "source",
    "categories": "category",
    "sample_rates": "sample_rate",
    "collections": "collection",
    "classifiers": "classifier",
}


def kept_search(body: KeptSearchBody) -> KeptSearch:
    """The search in a body. Raises FilterError."""
    return KeptSearch(body.q, filter_of(body))


def kept_search_body(kept: KeptSearch) -> KeptSearchBody:
    """The inverse."""
    conditions: dict[str, Any] = {
        _FIELDS.get(name, name): list(value) if isinstance(value, tuple) else value
        for name, value in kept.conditions.items()
    }
    return KeptSearchBody(q=kept.words, **conditions)


def search_request(query: SearchQuery | WeightedSearchQuery) -> SearchRequest:
    """The search that a query string or a body asks for. Raises InputError, FilterError."""
    parsed = parse(query.q, typing=isinstance(query, SearchQuery) and query.typing)
    if isinstance(query, WeightedSearchQuery):
        parsed = add_tags(parsed, {tag.tag: tag.weight for tag in query.tags})
        if not parsed.text and not parsed.without:
            raise InputError("q, tags: expected words, got none")
    elif not query.q.strip():
        raise InputError("q: expected words, got only spaces")
    return SearchRequest(
        parsed,
        query.k,
        filter_of(query),
        query.cursor,
        query.distinct,
        query.sort,
        tuple(query.fields),
        min_probability=query.min_probability,
        moments=query.moments,
    )


def facets_request(query: FacetsQuery) -> SearchRequest:
    """The search whose facets a query asks for; without words, of all that pass."""
    parsed = parse(query.q, typing=query.typing)
    return SearchRequest(parsed, where=filter_of(query), min_probability=query.min_probability)


def metadata_of(form: OriginForm) -> Metadata:
    """The metadata in a form, with its lists of tags split."""
    return Metadata(
        title=form.title if isinstance(form, ClipForm) else "",
        tags=metadata.split_tags(form.tags),
        author=form.author,
        source=form.source,
        licence=form.licence,
        description=form.description if isinstance(form, ClipForm) else "",
        recorded=form.recorded if isinstance(form, ClipForm) else "",
    )


def changes_of(body: ClipChanges) -> dict[str, Any]:
    """The fields of `Metadata` that a body sets."""
    fields = {name: getattr(body, name) for name in body.model_fields_set}
    return fields | ({"tags": tuple(body.tags)} if "tags" in fields else {})
