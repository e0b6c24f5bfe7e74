"""Facets of the clips that a query finds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from earmark.service.http import etags
from earmark.service.http.etags import CACHED, UNCHANGED, IfNoneMatch
from earmark.service.http.sound_response import REVALIDATE
from earmark.service.openapi.operation import NAMES_PROBLEMS, operation
from earmark.service.routes.conversions import facets_request
from earmark.service.routes.dependencies import TURN, ServicesDep
from earmark.service.schemas.curation.facets import FacetsBody, FacetsQuery

router = APIRouter(tags=["search"], dependencies=[TURN])


@router.get(
    "/v1/facets",
    response_model=FacetsBody,
    responses=UNCHANGED,
    **operation(
        "facets",
        problems=("invalid-request", *NAMES_PROBLEMS, "busy"),
        headers=CACHED,
        cached=True,
    ),
)
def facets(
    request: Request,
    services: ServicesDep,
    query: Annotated[FacetsQuery, Query()],
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Count the clips of a query by tag, licence, source, length and more. Each is counted without
    its own condition, but for tags."""
    library = services.library

    def headers(generation: int) -> dict[str, str]:
        tag = etags.etag(library.embedder.fingerprint, generation, request.scope["query_string"])
        return {"ETag": tag, **REVALIDATE}

    current = headers(library.generation)
    if etags.matches(if_none_match, current["ETag"]):
        return Response(status_code=304, headers=current)
    found = services.facets.get(facets_request(query), query.names)
    body = FacetsBody.of(found).model_dump_json()
    # Of the generation that was counted: the index may be behind the catalogue.
    return Response(body, headers=headers(found.generation), media_type="application/json")
