"""Words → sounds, and sounds like one of the library."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import Response

from earmark.service.http import etags
from earmark.service.routes.dependencies import EngineDep, SearchesDep
from earmark.service.routes.fast_route import QuickRoute
from earmark.service.schemas.hits import PageBody, SearchBody
from earmark.service.schemas.search import PageQuery, SearchQuery, SearchRequest
from earmark.service.search.batch import Ask

router = APIRouter(tags=["search"])


async def search(request: Request, asked: Annotated[SearchQuery, Query()]) -> Response:
    """Find sounds by words: by how they sound, and by titles and tags."""
    state = request.app.state
    answer = await state.searches.search(Ask(asked.search(), tuple(asked.fields)))
    tag = etags.etag(
        state.engine.embedder.fingerprint, answer.generation, request.scope["query_string"]
    )
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if etags.has(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(answer.body, headers=headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Add the search itself: first of all routes, and not by a router, which costs as well."""
    app.router.add_api_route(
        "/v1/search",
        search,
        response_model=SearchBody,
        tags=["search"],
        route_class_override=QuickRoute,
    )


@router.post("/v1/search", response_model=SearchBody)
async def search_with(searches: SearchesDep, asked: SearchRequest) -> Response:
    """Find sounds by words and by tags with weights, some of them unwanted."""
    answer = await searches.search(Ask(asked.search(), tuple(asked.fields)))
    return Response(answer.body, media_type="application/json")


@router.get("/v1/clips/{clip_id:path}/similar")
def similar(engine: EngineDep, clip_id: str, asked: Annotated[PageQuery, Query()]) -> PageBody:
    """Find sounds like one of the library."""
    return PageBody.of(
        engine.library.like_clip(
            clip_id, asked.k, asked.filter(), cursor=asked.cursor, distinct=asked.distinct
        )
    )
