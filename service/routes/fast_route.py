"""A route without FastAPI's overhead, for the one that is called most.

FastAPI's path from the server to a route, through contexts, dependencies and validators, costs more
than a search. This route validates its query by the same pydantic model and sends what its endpoint
returns. Everything else, OpenAPI included, is FastAPI's.
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
    """A route of a coroutine `endpoint(request, query)`; `query` is annotated with its model."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401
        super().__init__(path, endpoint, **options)
        self._model: type[BaseModel] = get_type_hints(endpoint)["query"]
        self._lists = {
            name
            for name, field in self._model.model_fields.items()
            if get_origin(field.annotation) is list
        }

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises errors that the application's handlers answer."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self.endpoint(request, self._read(request.query_params))
        await response(scope, receive, send)

    def _read(self, parameters: QueryParams) -> BaseModel:
        """Raises RequestValidationError, as FastAPI does."""
        values: dict[str, Any] = dict(parameters)
        for name in self._lists & values.keys():
            values[name] = parameters.getlist(name)
        try:
            return self._model.model_validate(values)
        except ValidationError as error:
            errors = [{**found, "loc": ("query", *found["loc"])} for found in error.errors()]
            raise RequestValidationError(errors) from error
