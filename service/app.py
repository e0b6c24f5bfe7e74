"""The application factory. Importing this does nothing; the model loads in the lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
import torch
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from service import errors
from service.engine import Engine
from service.headers import SecurityHeaders
from service.limits import BodyLimit, Inference
from service.routes import about, clips, search, sounds
from service.schemas.about import Problem
from service.settings import Settings

UI = Path(__file__).parent / "ui"
DESCRIPTION = """Finds sounds with words and words for sounds.

Errors are `application/problem+json` (RFC 9457); each `type` describes itself at its address.
"""


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The service with these settings.

    `engine`: one already open, as the command line has it to report errors by itself; else
    it is opened in the lifespan. Either is closed there.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        torch.set_num_threads(1)  # requests share the cores; teams of threads fight for them
        app.state.engine = engine or await anyio.to_thread.run_sync(open_engine, settings)
        app.state.inference = Inference(settings.threads, settings.max_waiting)
        yield
        app.state.engine.close()

    app = FastAPIOffline(
        title="Earmark",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        responses={
            "4XX": {"model": Problem, "content": {"application/problem+json": {}}},
        },
    )
    app.state.settings = settings
    errors.install(app)
    for router in (search.router, sounds.router, clips.router, about.router):
        app.include_router(router)
    # Not a mount: that would take addresses of the API asked with a wrong method for files.
    app.router.default = StaticFiles(directory=UI, html=True)
    app.add_middleware(BodyLimit, most=int(settings.max_upload_mb * 1e6))
    app.add_middleware(SecurityHeaders)
    return app


def open_engine(settings: Settings) -> Engine:
    """The model and library that the settings name, ready to answer."""
    engine = Engine.open(settings.model, settings.library, device=settings.device)
    _ = engine.embedder.vocabulary_vectors  # so that the first upload need not wait
    return engine
