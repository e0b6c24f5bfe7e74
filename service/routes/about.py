"""The service itself: the model card, health checks, metrics, types of problems."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from earmark.service.http.problems import PROBLEMS, ProblemError
from earmark.service.observability.metrics import CONTENT_TYPE
from earmark.service.openapi.operation import Tag, operation
from earmark.service.routes.dependencies import ServicesDep
from earmark.service.schemas.about import Health, KindBody, ModelBody

TAG: Tag = {
    "name": "about",
    "description": "The service itself: the model card, health checks, metrics, types of problems.",
}
router = APIRouter(tags=[TAG["name"]])

ProblemName = Annotated[str, Path(json_schema_extra={"enum": [*PROBLEMS]})]


@router.get("/v1/model", **operation("model"))
def model(services: ServicesDep) -> ModelBody:
    """Get the model card: what the model is, how it was trained, its metrics and limits."""
    return ModelBody.of(services.library.embedder, services.settings.max_seconds)


@router.get("/healthz", **operation("alive"))
async def healthz() -> Health:
    """Check liveness: the event loop answers."""
    return Health(status="alive")


@router.get("/readyz", **operation("ready", problems=("unavailable",)))
async def readyz(services: ServicesDep) -> Health:
    """Check readiness: a search is answered in time, and the service is not shutting down."""
    await services.readiness.check()
    return Health(status="ready")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    **operation("metrics"),
)
def metrics(services: ServicesDep) -> Response:
    """Get metrics of requests, stages of work, queues and the library, for Prometheus."""
    return Response(services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})


@router.get("/problems/{name}", **operation("problem_type", problems=("not-found",)))
async def problem_type(name: ProblemName) -> KindBody:
    """Get the description of a problem's `type`."""
    if name not in PROBLEMS:
        raise ProblemError("not-found", f"no such type of problem: {name[:60]!r}")
    kind = PROBLEMS[name]
    return KindBody(title=kind.title, status=kind.status, description=kind.description)
