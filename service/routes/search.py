"""Words → sounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.routes.context import EngineDep
from service.schemas import HitBody, SearchBody

router = APIRouter(tags=["search"])

MAX_HITS = 100


@router.get("/v1/search")
def search(
    engine: EngineDep,
    q: Annotated[str, Query(min_length=1, max_length=500, description="Words, in any order")],
    k: Annotated[int, Query(ge=1, le=MAX_HITS, description="Most hits wanted")] = 10,
) -> SearchBody:
    """Find sounds by words: by how they sound, and by titles and tags."""
    found = engine.search(q, k)
    return SearchBody(
        hits=[HitBody.of(hit) for hit in found.hits],
        understood=found.understood.tags,
        ignored=found.understood.ignored,
    )
