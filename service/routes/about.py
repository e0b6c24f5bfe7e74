"""The service about itself: the model, probes, kinds of problems."""

from __future__ import annotations

from fastapi import APIRouter

from earmark.service.http.problems import PROBLEMS, ProblemError
from earmark.service.routes.dependencies import ServicesDep
from earmark.service.schemas.about import Health, KindBody, ModelBody

router = APIRouter(tags=["about"])


@router.get("/v1/model")
def model(services: ServicesDep) -> ModelBody:
    """The model card: what it is, how it was trained, its figures and limits."""
    return ModelBody.of(services.library.embedder)


@router.get("/healthz")
async def healthz() -> Health:
    """Alive: the event loop answers."""
    return Health(status="alive")


@router.get("/readyz")
async def readyz(services: ServicesDep) -> Health:
    """Ready: a search is answered in time, and the service is not shutting down."""
    await services.readiness.check()
    return Health(status="ready")


@router.get("/problems/{name}")
async def problem_type(name: str) -> KindBody:
    """What a problem's `type` means."""
    if name not in PROBLEMS:
        raise ProblemError("not-found", f"no such type of problem: {name[:60]!r}")
    kind = PROBLEMS[name]
    return KindBody(title=kind.title, status=kind.status, description=kind.description)
