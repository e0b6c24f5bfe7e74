"""What every route may ask for: the engine, the settings, what works for it.

Coroutines, though they wait for nothing: FastAPI would run functions in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from earmark.index.projection.map import Maps
from earmark.index.statistics import Summaries
from earmark.service.engine import Engine
from earmark.service.library_service import Shelf
from earmark.service.observability.metrics import Metrics
from earmark.service.search.queue import Searches
from earmark.service.server.readiness import Readiness
from earmark.service.settings import Settings
from earmark.service.workers.jobs import Jobs
from earmark.service.workers.upload_queue import Inference
from earmark.service.workers.waveforms import Waveforms


async def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _inference(request: Request) -> Inference:
    inference: Inference = request.app.state.inference
    return inference


async def _searches(request: Request) -> Searches:
    searches: Searches = request.app.state.searches
    return searches


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _readiness(request: Request) -> Readiness:
    readiness: Readiness = request.app.state.readiness
    return readiness


async def _shelf(request: Request) -> Shelf:
    shelf: Shelf = request.app.state.shelf
    return shelf


async def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs


async def _waveforms(request: Request) -> Waveforms:
    waveforms: Waveforms = request.app.state.waveforms
    return waveforms


async def _summaries(request: Request) -> Summaries:
    summaries: Summaries = request.app.state.summaries
    return summaries


async def _maps(request: Request) -> Maps:
    maps: Maps = request.app.state.maps
    return maps


EngineDep = Annotated[Engine, Depends(_engine)]
SettingsDep = Annotated[Settings, Depends(_settings)]
InferenceDep = Annotated[Inference, Depends(_inference)]
SearchesDep = Annotated[Searches, Depends(_searches)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]
ReadinessDep = Annotated[Readiness, Depends(_readiness)]
ShelfDep = Annotated[Shelf, Depends(_shelf)]
JobsDep = Annotated[Jobs, Depends(_jobs)]
WaveformsDep = Annotated[Waveforms, Depends(_waveforms)]
SummariesDep = Annotated[Summaries, Depends(_summaries)]
MapsDep = Annotated[Maps, Depends(_maps)]


class AdmittedRoute(APIRoute):
    """A route for uploads: a full queue says so before the body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, behind the queue's door."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            (await _inference(request)).admit()
            return await handle(request)

        return admitted
