"""What the service measures, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from earmark.service.observability.metrics import CONTENT_TYPE
from earmark.service.routes.dependencies import ServicesDep

router = APIRouter(tags=["about"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(services: ServicesDep) -> Response:
    """Requests, stages of work, queues and the library, in Prometheus' text format."""
    return Response(services.metrics.render(), headers={"Content-Type": CONTENT_TYPE})
