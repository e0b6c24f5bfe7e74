"""The library as a whole: statistics and the map."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Response

from earmark.service.http import etags
from earmark.service.http.body_cache import Body
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch
from earmark.service.http.sound_response import REVALIDATE
from earmark.service.openapi.operation import NAMES_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import filter_of
from earmark.service.routes.dependencies import ServicesDep
from earmark.service.schemas.filters import FilterQuery
from earmark.service.schemas.library import LibraryBody, LibraryQuery, ModelName
from earmark.service.schemas.map import MapBody

TAG: Tag = {
    "name": "library",
    "description": "The library as a whole: statistics, and a map of its sounds.",
}
router = APIRouter(tags=[TAG["name"]])


@router.get(
    "/v1/library",
    response_model=LibraryBody,
    responses=UNCHANGED,
    **operation("library", problems=("invalid-request",), headers=CACHED, cached=True),
)
def library(
    services: ServicesDep,
    query: Annotated[LibraryQuery, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Get the library's statistics: clips, seconds, names, and files that failed or are missing."""
    summary, kind = services.statistics.get(), services.library.store.label()
    missing = services.missing.get()
    embedder = services.library.embedder
    model = ModelName(name=embedder.name, fingerprint=embedder.fingerprint)
    tag = etags.etag(summary.id, summary.generation, kind, model.fingerprint, query.tags, missing)
    headers = {"ETag": tag, **REVALIDATE}
    if etags.matches(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    body = LibraryBody.of(summary, missing, kind, model, query.tags).model_dump_json()
    return Response(body, headers=headers, media_type="application/json")


@router.get(
    "/v1/map",
    response_model=MapBody,
    responses=UNCHANGED,
    **operation("map", problems=("invalid-request", *NAMES_PROBLEMS), headers=CACHED, cached=True),
)
def map_(
    services: ServicesDep,
    query: Annotated[FilterQuery, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Get the map of the library in two dimensions: similar sounds lie close together. With
    filters, the clips that pass, each where it is in the whole."""
    view, where = services.library_map.view(), filter_of(query)
    if where.empty:
        body = services.map_body.get(view, lambda: orjson.dumps(MapBody.fields_of(view)))
    else:
        narrowed = view.of(services.library.passing(where))
        body = Body.of(orjson.dumps(MapBody.fields_of(narrowed)))
    headers = {"ETag": body.etag, **REVALIDATE}
    if etags.matches(if_none_match, body.etag):
        return Response(status_code=304, headers=headers)
    return Response(body.content, headers=headers, media_type="application/json")
