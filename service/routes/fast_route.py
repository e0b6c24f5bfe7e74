"""Routes that are called very often, taken the short way.

FastAPI's way from the server to such a route, by its stack of contexts, dependencies and
validators, costs more than a search. Here its query is read by the same model, and what it
answers is sent; the rest, OpenAPI among it, is FastAPI's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_origin, get_type_hints

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send


class FastRoute(APIRoute):
    """A route of a coroutine of (request, asked), `asked` being a model of the query."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **more: Any) -> None:  # noqa: ANN401
        super().__init__(path, endpoint, **more)
        self._model: type[BaseModel] = get_type_hints(endpoint)["asked"]
        self._lists = {
            name
            for name, field in self._model.model_fields.items()
            if get_origin(field.annotation) is list
        }

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises what the application has handlers for."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self.endpoint(request, self._read(request.query_params))
        await response(scope, receive, send)

    def _read(self, given: QueryParams) -> BaseModel:
        """Raises RequestValidationError, as FastAPI would."""
        values: dict[str, Any] = dict(given)
        for name in self._lists & values.keys():
            values[name] = given.getlist(name)
        try:
            return self._model.model_validate(values)
        except ValidationError as error:
            found = [{**each, "loc": ("query", *each["loc"])} for each in error.errors()]
            raise RequestValidationError(found) from error
