"""What routes share: the application's services, a clip's id, the check of the upload queue."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from fastapi.routing import APIRoute

from earmark.service.services import Services


def services_of(request: Request) -> Services:
    """The services of the request's application, open as long as it runs."""
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    """A coroutine, though it waits for nothing: FastAPI would run a function in a thread."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]
ClipId = Annotated[str, Path(description="Its id, percent-encoded")]


class UploadRoute(APIRoute):
    """A route for uploads: where the queue is full it refuses before the body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, after the queue's check."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            services_of(request).uploads.admit()
            return await handle(request)

        return admitted
