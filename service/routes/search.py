"""Words → sounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from service.errors import ProblemError
from service.routes.context import EngineDep
from service.schemas import SearchBody

router = APIRouter(tags=["search"])

MAX_HITS = 100


@router.get("/v1/search")
def search(
    engine: EngineDep,
    q: Annotated[str, Query(min_length=1, max_length=500, description="Words, in any order")],
    k: Annotated[int, Query(ge=1, le=MAX_HITS, description="Most hits wanted")] = 10,
) -> SearchBody:
    """Find sounds by words: by how they sound, and by titles and tags."""
    if not q.strip():
        raise ProblemError("invalid-request", "q: expected words, got only spaces")
    return SearchBody.of(engine.search(q, k))
