"""The application factory. Importing this does nothing; the model loads in the lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from earmark.index.library import Library
from earmark.model.core.errors import ConfigError
from earmark.service.auth.authorization import AccessRules, Authorization
from earmark.service.http import problems
from earmark.service.http.static_files import PageFiles
from earmark.service.middleware.access_log import AccessLog
from earmark.service.middleware.body_limit import MAX_FIELD_BYTES, MAX_FIELDS, BodyLimit
from earmark.service.middleware.compression import Compression
from earmark.service.middleware.head_requests import HeadRequests
from earmark.service.middleware.openai_errors import OpenAIErrors
from earmark.service.middleware.rate_limit import RateLimits
from earmark.service.middleware.root_path import RootPath
from earmark.service.middleware.security_headers import CORS_ALLOWED, CORS_EXPOSED, SecurityHeaders
from earmark.service.observability.metrics import Metrics
from earmark.service.openapi import document, pages
from earmark.service.routes import (
    about,
    clips,
    drawings,
    embeddings,
    feedback,
    jobs,
    library,
    search,
    timelines,
    uploads,
)
from earmark.service.routes.curation import classifiers, collections, edits, facets, review
from earmark.service.schemas.about import Problem
from earmark.service.search.processes import ForkServer
from earmark.service.server.readiness import Readiness
from earmark.service.services import open_services
from earmark.service.settings import Settings

if TYPE_CHECKING:
    from earmark.service.integrations.mcp.endpoint import McpEndpoint
    from earmark.service.observability.traces import Traces

UI = Path(__file__).parent / "ui"
# In the document's order.
ROUTES = (
    search,
    uploads,
    embeddings,
    edits,
    clips,
    collections,
    classifiers,
    review,
    library,
    jobs,
    feedback,
    about,
)
DESCRIPTION = """Finds sounds with words and words for sounds.

Errors are `application/problem+json` (RFC 9457); each `type` describes itself at its address.
"""


def create_app(
    settings: Settings,
    opened: Library | None = None,
    fork_server: ForkServer | None = None,
    readiness: Readiness | None = None,
) -> FastAPI:
    """The service with these settings. Raises ConfigError.

    `opened`, `fork_server`: as `open_services` takes them; the command line opens both by itself,
    to report errors and to fork early. `readiness`: for a server that stops it.
    """
    traces = open_traces(settings)
    measured = Metrics(traces)
    ready = readiness or Readiness(settings.ready_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_services(settings, measured, ready, opened, fork_server) as services:
            app.state.services = services
            async with nullcontext() if mcp is None else mcp.running():
                yield
        if traces is not None:
            await anyio.to_thread.run_sync(traces.close)

    app = FastAPIOffline(
        title="Earmark",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        form_limits={
            "max_files": settings.max_files,
            "max_fields": MAX_FIELDS,
            "max_part_size": MAX_FIELD_BYTES,
        },
        docs_url=None,  # with relative addresses: earmark.service.openapi.pages
        redoc_url=None,
        openapi_tags=[{**module.TAG} for module in ROUTES],
        responses={"4XX": {"model": Problem}},  # which ones: earmark.service.openapi.document
    )
    mcp = open_mcp(app, settings)
    problems.add_handlers(app)
    document.install(app)
    pages.install(app)
    add_middleware(app, settings, measured, traces)
    search.install(app)
    app.include_router(timelines.router)  # before the clips, whose ids may hold slashes
    app.include_router(drawings.router)
    app.include_router(facets.router)
    for module in ROUTES:
        app.include_router(module.router)
    if mcp is not None:
        app.router.routes.append(mcp.route)
    # Not a mount: a mount would answer wrong methods at the API's addresses as missing files.
    app.router.default = PageFiles(directory=UI, html=True)
    return app


def add_middleware(
    app: FastAPI, settings: Settings, measured: Metrics, traces: Traces | None
) -> None:
    """Limits, access, logs; what is added last stands outermost. Raises ConfigError."""
    app.add_middleware(Compression)
    app.add_middleware(HeadRequests)
    app.add_middleware(
        BodyLimit, max_bytes=int(settings.max_upload_mb * 1e6), seconds=settings.body_seconds
    )
    app.add_middleware(
        RateLimits, settings=settings, on_refusal=lambda: measured.count_rejection("rate")
    )
    app.add_middleware(Authorization, rules=AccessRules.of(settings))
    app.add_middleware(OpenAIErrors)
    if settings.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors,
            allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
            allow_headers=CORS_ALLOWED,
            expose_headers=CORS_EXPOSED,
        )
    if traces is not None:
        app.add_middleware(traces.middleware)
    app.add_middleware(AccessLog, metrics=measured)
    app.add_middleware(SecurityHeaders, shared=bool(settings.cors))
    if settings.root_path:
        app.add_middleware(RootPath, root_path=settings.root_path)


def open_traces(settings: Settings) -> Traces | None:
    """Where traces are sent; None where the settings name no endpoint. Raises ConfigError."""
    if not settings.traces:
        return None
    try:
        from earmark.service.observability.traces import Traces
    except ImportError as error:
        raise ConfigError("traces: needs `pip install earmark[traces]`") from error
    return Traces(settings.traces, version("earmark"))


def open_mcp(app: FastAPI, settings: Settings) -> McpEndpoint | None:
    """The way in for assistants; None unless the settings switch it on. Raises ConfigError."""
    if not settings.mcp:
        return None
    try:
        from earmark.service.integrations.mcp.endpoint import McpEndpoint
    except ModuleNotFoundError as error:
        raise ConfigError("mcp: needs `pip install 'earmark[mcp]'`") from error
    return McpEndpoint(app, may_write=settings.mcp_write)
