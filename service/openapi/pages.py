"""The pages `/docs` and `/redoc`, which show the OpenAPI document.

Their addresses are relative, so that they work under any path of a proxy. What they load is part of
fastapi-offline: nothing comes from elsewhere.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from earmark.service.http.static_files import WholeFiles

DOCUMENT, FILES = "openapi.json", "static-offline-docs"


def install(app: FastAPI) -> None:
    """Serve both pages, and fastapi-offline's files for them."""
    for route in app.router.routes:
        if not isinstance(route, Mount) or route.path != f"/{FILES}":
            continue
        assert isinstance(route.app, StaticFiles), "what fastapi-offline mounts"
        route.app = WholeFiles(directory=route.app.directory)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """A form to try each call with."""
        return get_swagger_ui_html(
            openapi_url=DOCUMENT,
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
            swagger_css_url=f"{FILES}/swagger-ui.css",
            swagger_favicon_url=f"{FILES}/favicon.png",
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        """All calls on one page, to read."""
        return get_redoc_html(
            openapi_url=DOCUMENT,
            title=f"{app.title} - ReDoc",
            redoc_js_url=f"{FILES}/redoc.standalone.js",
            redoc_favicon_url=f"{FILES}/favicon.png",
            with_google_fonts=False,
        )
