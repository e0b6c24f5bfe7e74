"""What routes share: the application's services, a clip's id, what holds for uploads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Request, Response
from fastapi.routing import APIRoute

from earmark.service.auth.authorization import SAFE_METHODS, Caller
from earmark.service.http.forms import FormRequest
from earmark.service.http.problems import ProblemError
from earmark.service.services import Services

FORM = "multipart/form-data"


def services_of(request: Request) -> Services:
    """The services of the request's application, open as long as it runs."""
    services: Services = request.app.state.services
    return services


async def _services(request: Request) -> Services:
    """A coroutine, though it waits for nothing: FastAPI would run a function in a thread."""
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services)]


async def _key_name(request: Request) -> str:
    """The name of the caller's key, empty without one: who makes a change."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return (caller.key if caller else None) or ""


KeyName = Annotated[str, Depends(_key_name)]
ClipId = Annotated[str, Path(description="Its id, percent-encoded")]


async def take_write_turn(request: Request) -> AsyncIterator[None]:
    """A turn for a request that writes. Raises ProblemError (429) where too many do."""
    if request.method in SAFE_METHODS or request.headers.get("content-type", "").startswith(FORM):
        yield  # it only reads, or has a queue of its own
        return
    with services_of(request).turns.turn("writes"):
        yield


async def take_turn(request: Request) -> AsyncIterator[None]:
    """A turn for a request that works with the library. Raises ProblemError (429)."""
    kind: Literal["reads", "writes"] = "reads" if request.method in SAFE_METHODS else "writes"
    with services_of(request).turns.turn(kind):
        yield


# A turn ends before the answer is sent: a client that reads slowly, or a long archive, holds none.
WRITE_TURN = Depends(take_write_turn, scope="function")
TURN = Depends(take_turn, scope="function")


async def one_file(request: Request) -> None:
    """Raise ProblemError where a form has several files for the one that is meant."""
    count = len((await request.form()).getlist("file"))  # parsed before, within its limits
    if count > 1:
        raise ProblemError("invalid-request", f"file: expected one, got {count}")


class FormRoute(APIRoute):
    """A route for forms, with all the ways in which clients send the names of files."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, given a request of ours."""
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handle(FormRequest(request.scope, request.receive))

        return read


class UploadRoute(FormRoute):
    """A route for uploads: where the queue is full it refuses before the body is read."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, after the queue's check."""
        handle = super().get_route_handler()

        async def admitted(request: Request) -> Response:
            services_of(request).uploads.admit()
            return await handle(request)

        return admitted
