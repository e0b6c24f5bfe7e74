"""Words → sounds, and sounds similar to a clip."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import Response

from earmark.service.http import etags
from earmark.service.http.sound_state import file_state, reading_file
from earmark.service.http.streaming import while_connected
from earmark.service.openapi.operation import (
    NAMES_PROBLEMS,
    SEARCH_PROBLEMS,
    UPLOAD_PROBLEMS,
    Tag,
    operation,
)
from earmark.service.routes.conversions import filter_of, search_request
from earmark.service.routes.dependencies import ClipId, ServicesDep, services_of
from earmark.service.routes.fast_route import FastRoute
from earmark.service.routes.stretches import End, Start, near, stretch_of
from earmark.service.schemas.hits import PageBody, SearchBody
from earmark.service.schemas.search import PageQuery, SearchQuery, WeightedSearchQuery

TAG: Tag = {
    "name": "search",
    "description": "Words → sounds, and sounds similar to a clip of the library.",
}
router = APIRouter(tags=[TAG["name"]])


async def search(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
    """Find sounds by words: by how they sound, and by titles and tags."""
    services = services_of(request)
    page = await services.searches.search(search_request(query))
    tag = etags.etag(
        services.library.embedder.fingerprint, page.generation, request.scope["query_string"]
    )
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if etags.matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(page.body, headers=headers, media_type="application/json")


def install(app: FastAPI) -> None:
    """Add the search first of all routes, and without a router, which costs time."""
    app.router.add_api_route(
        "/v1/search",
        search,
        response_model=SearchBody,
        tags=[TAG["name"]],
        route_class_override=FastRoute,
        **operation(
            "search",
            problems=SEARCH_PROBLEMS,
            headers=("ETag", "Cache-Control"),
            cached=True,
            selects_fields=True,
        ),
    )


@router.post(
    "/v1/search",
    response_model=SearchBody,
    **operation("search_with", problems=SEARCH_PROBLEMS, selects_fields=True),
)
async def search_with(services: ServicesDep, query: WeightedSearchQuery) -> Response:
    """Find sounds by words and by weighted tags; a negative weight excludes a tag."""
    page = await services.searches.search(search_request(query))
    return Response(page.body, media_type="application/json")


@router.get(
    "/v1/clips/{clip_id:path}/similar",
    **operation(
        "similar", problems=("unknown-clip", *NAMES_PROBLEMS, "sound-gone", *UPLOAD_PROBLEMS)
    ),
)
async def similar(
    request: Request,
    services: ServicesDep,
    clip_id: ClipId,
    query: Annotated[PageQuery, Query()],
    start: Start = None,
    end: End = None,
) -> PageBody:
    """Find sounds similar to a clip of the library, or to a stretch of it."""
    in_thread, library = anyio.to_thread.run_sync, services.library
    where = filter_of(query)
    if start is None and end is None:
        search = partial(library.search_by_clip, clip_id, query.k, where)
    else:
        clip = await in_thread(library.catalogue.clip, clip_id)
        state = await file_state(clip)
        stretch = near(await in_thread(stretch_of, library.catalogue, clip, state, start, end))
        embedding = services.stretch_vectors.get(clip, state, stretch)
        async with reading_file(clip):
            vector = await while_connected(request, embedding, services.metrics)
        name = f"clip {clip.row} {stretch.frames(clip.sample_rate)}"
        where = replace(where, but=clip.row)
        search = partial(library.search_by_vector, vector, query.k, where, sound=name)
    return await in_thread(
        lambda: PageBody.of(
            search(
                cursor=query.cursor,
                distinct=query.distinct,
                min_probability=query.min_probability,
                moments=query.moments,
            )
        )
    )
