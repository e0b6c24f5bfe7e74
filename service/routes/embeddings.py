"""Phrases and sounds → unit vectors, in the form of OpenAI's API, and the model that makes them."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from functools import partial
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Path, Request, Response

from earmark.model.core.arrays import Array
from earmark.model.core.errors import InputError
from earmark.model.embedder import Embedder
from earmark.service.http.openai_errors import EMBEDDINGS, MODELS
from earmark.service.http.problems import ProblemError
from earmark.service.http.streaming import while_connected
from earmark.service.middleware.rate_limit import count_uploads
from earmark.service.openapi.operation import UPLOAD_PROBLEMS, Tag, operation
from earmark.service.routes.dependencies import FormRoute, ServicesDep
from earmark.service.routes.embedding_inputs import FORM, JSON, Inputs, Sound, read_inputs
from earmark.service.schemas.embeddings import (
    ANY_MODEL,
    EmbeddingOptions,
    EmbeddingsBody,
    EmbeddingsQuery,
    Encoding,
    OfferedModelBody,
    OfferedModelsBody,
)
from earmark.service.services import Services
from earmark.service.workers.phrase_vectors import Phrase

TAG: Tag = {
    "name": "embeddings",
    "description": "Phrases and sounds → unit vectors, in the form of OpenAI's API. Errors hold "
    "`error` as that form has it, beside the members of a problem.",
}
router = APIRouter(tags=[TAG["name"]], route_class=FormRoute)

ModelId = Annotated[
    str, Path(description="`earmark`, or the model's name or fingerprint", examples=[ANY_MODEL])
]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its definitions in place: what a route says of a body has no components."""
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:  # noqa: ANN401 (JSON)
        if isinstance(node, list):
            return [resolved(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(definitions[node["$ref"].rpartition("/")[2]])
        return {name: resolved(value) for name, value in node.items()}

    plain: dict[str, Any] = resolved(schema)
    return plain


def _form_schema() -> dict[str, Any]:
    schema = EmbeddingOptions.model_json_schema()
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    schema["properties"]["file"] = {**files, "description": "Sounds, one in each `file`"}
    schema["required"] = ["file"]
    return schema


BODY = {
    "required": True,
    "content": {
        JSON: {"schema": _plain(EmbeddingsQuery.model_json_schema())},
        FORM: {"schema": _form_schema()},
    },
}


@router.post(
    EMBEDDINGS,
    response_model=EmbeddingsBody,
    **operation(
        "embeddings",
        problems=(*UPLOAD_PROBLEMS, "unknown-model", "unsupported-media-type"),
        requestBody=BODY,
    ),
)
async def embeddings(request: Request, services: ServicesDep) -> Response:
    """Embed phrases and sounds as unit vectors of one space. Sounds come in base64 or as a form."""
    embedder = services.library.embedder
    async with AsyncExitStack() as stack:
        inputs = await read_inputs(request, services, stack, partial(_check, embedder))
        sounds = sum(isinstance(item, Sound) for item in inputs.items)
        count_uploads(request, sounds - inputs.counted)
        body = await while_connected(request, _answer(services, inputs), services.metrics)
    return Response(body, media_type="application/json")


@router.get(MODELS, **operation("models"))
async def models(services: ServicesDep) -> OfferedModelsBody:
    """List the model that is loaded."""
    embedder = services.library.embedder
    return OfferedModelsBody(data=[OfferedModelBody.of(embedder, embedder.name)])


@router.get(MODELS + "/{model_id:path}", **operation("offered_model", problems=("unknown-model",)))
async def model(services: ServicesDep, model_id: ModelId) -> OfferedModelBody:
    """Get the model that is loaded by one of its names."""
    _check_model(services.library.embedder, model_id)
    return OfferedModelBody.of(services.library.embedder, model_id)


def _check(embedder: Embedder, options: EmbeddingOptions) -> None:
    """Raise ProblemError for another model, InputError for another dimension."""
    _check_model(embedder, options.model)
    if options.dimensions not in (None, embedder.dim):
        raise InputError(
            f"dimensions: expected the model's {embedder.dim}, or none, got {options.dimensions}"
        )


def _check_model(embedder: Embedder, model_id: str) -> None:
    names = (ANY_MODEL, embedder.name, embedder.fingerprint)
    if model_id not in names:
        expected = ", ".join(dict.fromkeys(names))
        raise ProblemError(
            "unknown-model", f"model: expected one of {expected}, got {model_id[:60]!r}"
        )


async def _answer(services: Services, inputs: Inputs) -> bytes:
    """The inputs embedded, as a body. Raises InputError, AudioError, ProblemError (429, 504)."""
    embedder, items = services.library.embedder, inputs.items
    vectors = np.empty((len(items), embedder.dim), dtype=np.float32)
    phrases = {row: item for row, item in enumerate(items) if isinstance(item, Phrase)}
    read = 0
    if phrases:
        vectors[list(phrases)], read = await services.phrases.embed([*phrases.values()])
    # One after another: this request takes one place of the queue, however many sounds it has.
    for row, item in enumerate(items):
        if isinstance(item, Sound):
            sound = await services.uploads.embed(
                item.read, services.settings.max_seconds, name=item.name
            )
            vectors[row] = sound.vector
            read += len(sound.windows)
    rendering = partial(_render, vectors, inputs.options.encoding_format, embedder.name, read)
    return await services.phrases.run(rendering)


def _render(vectors: Array, encoding: Encoding, model_name: str, read: int) -> bytes:
    """An `EmbeddingsBody`, item by item, so that other threads can work in between."""
    data = b",".join(
        orjson.dumps(
            {
                "object": "embedding",
                "index": index,
                "embedding": vector
                if encoding == "float"
                else base64.b64encode(vector.astype("<f4").tobytes()).decode(),
            },
            option=orjson.OPT_SERIALIZE_NUMPY,
        )
        for index, vector in enumerate(vectors)
    )
    rest = orjson.dumps(
        {"model": model_name, "usage": {"prompt_tokens": read, "total_tokens": read}}
    )
    return b'{"object":"list","data":[%b],%b' % (data, rest[1:])
