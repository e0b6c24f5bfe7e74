"""Words → sounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.errors import ProblemError
from service.routes.context import EngineDep
from service.schemas.search import SearchBody, SearchQuery

router = APIRouter(tags=["search"])


@router.get("/v1/search")
def search(engine: EngineDep, asked: Annotated[SearchQuery, Query()]) -> SearchBody:
    """Find sounds by words: by how they sound, and by titles and tags."""
    if not asked.q.strip():
        raise ProblemError("invalid-request", "q: expected words, got only spaces")
    found = engine.search(
        asked.q, asked.k, asked.filter(), cursor=asked.cursor, distinct=asked.distinct
    )
    return SearchBody.of(found)
