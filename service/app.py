"""The application factory. Importing this does nothing; the model loads in the lifespan."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import torch
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from threadpoolctl import threadpool_limits

from earmark.index.library import Search
from earmark.index.projection.map import Maps
from earmark.index.search.query import parse
from earmark.index.search.recall_monitor import RecallProbe
from earmark.index.statistics import Summaries
from earmark.index.stores.faiss.store import FaissStore
from earmark.model.core.errors import ConfigError
from earmark.service.auth.authorization import Access, Rules
from earmark.service.engine import Engine
from earmark.service.http import problems
from earmark.service.http.static_files import Pages
from earmark.service.library_service import Shelf
from earmark.service.middleware.access_log import Observing
from earmark.service.middleware.body_limit import MAX_FIELD_BYTES, MAX_FIELDS, BodyLimit
from earmark.service.middleware.rate_limit import RateLimits
from earmark.service.middleware.security_headers import CORS_ASKED, CORS_TOLD, SecurityHeaders
from earmark.service.observability.metrics import Metrics
from earmark.service.openapi import document
from earmark.service.routes import about, clips, feedback, jobs, library, metrics, search, uploads
from earmark.service.schemas.about import Problem
from earmark.service.search.batch import Ask
from earmark.service.search.processes import InProcess, InThread, Nursery
from earmark.service.search.queue import Searches
from earmark.service.server.readiness import QUERY, Readiness
from earmark.service.settings import Settings
from earmark.service.workers.jobs import Jobs
from earmark.service.workers.upload_queue import Inference
from earmark.service.workers.waveforms import Waveforms

if TYPE_CHECKING:
    from earmark.service.observability.traces import Traces

UI = Path(__file__).parent / "ui"
DESCRIPTION = """Finds sounds with words and words for sounds.

Errors are `application/problem+json` (RFC 9457); each `type` describes itself at its address.
"""


def create_app(
    settings: Settings, engine: Engine | None = None, nursery: Nursery | None = None
) -> FastAPI:
    """The service with these settings.

    `engine`: one already open, as the command line has it to report errors by itself; else
    it is opened in the lifespan. `nursery`: of processes that search; else threads do. All are
    closed in the lifespan.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine or await anyio.to_thread.run_sync(open_engine, settings)
        app.state.inference, app.state.searches = workers(app, nursery)
        shelf = open_shelf(app)
        observe(app, settings)
        yield
        await anyio.to_thread.run_sync(app.state.maps.close)
        await anyio.to_thread.run_sync(app.state.jobs.close)
        shelf.close()
        app.state.inference.close()
        await app.state.searches.close()
        if nursery is not None:
            nursery.close()
        app.state.recall.close()
        app.state.engine.close()
        if traces is not None:
            await anyio.to_thread.run_sync(traces.close)

    app = FastAPIOffline(
        title="Earmark",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        generate_unique_id_function=document.operation_id,
        form_limits={
            "max_files": settings.max_files,
            "max_fields": MAX_FIELDS,
            "max_part_size": MAX_FIELD_BYTES,
        },
        responses={"4XX": {"model": Problem}},  # which ones: earmark.service.openapi.document
    )
    app.state.settings = settings
    traces = open_traces(settings)
    app.state.metrics = Metrics(traces)
    app.state.readiness = Readiness(settings.ready_seconds)
    problems.install(app)
    document.install(app)
    search.install(app)
    for each in (search, uploads, clips, library, feedback, jobs, about, metrics):
        app.include_router(each.router)
    # Not a mount: that would take addresses of the API asked with a wrong method for files.
    app.router.default = GZipMiddleware(Pages(directory=UI, html=True))
    guard(app, settings)
    if traces is not None:
        app.add_middleware(traces.middleware)
    app.add_middleware(Observing, metrics=app.state.metrics)
    app.add_middleware(SecurityHeaders, shared=bool(settings.cors))
    return app


def guard(app: FastAPI, settings: Settings) -> None:
    """Limits and access; what is added last stands outermost. Raises ConfigError."""
    measured: Metrics = app.state.metrics
    most = int(settings.max_upload_mb * 1e6)
    app.add_middleware(BodyLimit, most=most, seconds=settings.body_seconds)
    app.add_middleware(RateLimits, settings=settings, refused=lambda: measured.rejected("rate"))
    app.add_middleware(Access, rules=Rules.of(settings))
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
            allow_headers=CORS_ASKED,
            expose_headers=CORS_TOLD,
        )


def open_traces(settings: Settings) -> Traces | None:
    """Where traces go, if anywhere. Raises ConfigError."""
    if not settings.traces:
        return None
    try:
        from earmark.service.observability.traces import Traces
    except ImportError as error:
        raise ConfigError("traces: needs `pip install earmark[traces]`") from error
    return Traces(settings.traces, version("earmark"))


def observe(app: FastAPI, settings: Settings) -> None:
    """Let metrics and readiness see the open engine."""
    engine: Engine = app.state.engine
    measured: Metrics = app.state.metrics
    store = engine.library.store
    measured.build(version("earmark"), engine.embedder.fingerprint, settings.device)
    measured.watch("clips", lambda: len(engine.library.followed()))
    measured.watch("generation", lambda: engine.library.followed().generation)
    app.state.recall = engine.library.probe = RecallProbe(
        store, engine.library.catalogue, measured.recall, one_in=settings.recall_sample
    )
    searches: Searches = app.state.searches
    app.state.readiness.search = lambda: searches.search(Ask(Search(parse(QUERY), 1)))


def workers(app: FastAPI, nursery: Nursery | None) -> tuple[Inference, Searches]:
    """What embeds uploads, and what searches."""
    settings: Settings = app.state.settings
    engine: Engine = app.state.engine
    inference = Inference(
        engine.embedder,
        app.state.metrics,
        readers=settings.threads,
        most=settings.max_waiting,
        deadline=settings.upload_seconds,
    )
    library = engine.library
    searches = Searches(
        [
            InThread(library) if nursery is None else InProcess(nursery, library)
            for _ in range(settings.searchers or os.cpu_count() or 1)
        ],
        app.state.metrics,
        most=settings.max_searches,
        deadline=settings.search_seconds,
    )
    return inference, searches


def open_shelf(app: FastAPI) -> Shelf:
    """What writes to the open engine's library, and what tells of it."""
    library = app.state.engine.library
    app.state.shelf = shelf = Shelf(library, app.state.settings.max_seconds)
    app.state.jobs, app.state.waveforms = Jobs(), Waveforms(shelf.readers)
    app.state.summaries, app.state.maps = Summaries(library), Maps(library)
    return shelf


def open_engine(settings: Settings) -> Engine:
    """The model and library that the settings name, ready to answer."""
    # Requests share the cores: teams of threads fight for them. Nor are teams forked along.
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    engine = Engine.open(settings.model, settings.library, device=settings.device)
    _ = engine.embedder.vocabulary_vectors  # so that the first upload need not wait
    return engine


def open_nursery(settings: Settings, engine: Engine) -> Nursery | None:
    """Where searching processes come from; None where they cannot be forked: on systems without
    it, of what holds a GPU or the connection to a Milvus.

    To be made while there is one thread.
    """
    forks = sys.platform == "linux" and settings.device == "cpu"
    if not forks or not isinstance(engine.library.store, FaissStore):
        return None
    return Nursery(engine.library, settings.recall_sample)
