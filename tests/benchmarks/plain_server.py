"""The same model behind a plain route: `python -m tests.benchmarks.plain_server PORT`.

FastAPI decodes and encodes one upload after another in its thread pool, as a first version is
usually written: no processes, no batches, no limits.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, UploadFile

from earmark.model.checkpoint import starter_model
from earmark.model.embedder import Embedder
from earmark.model.tagging import suggest
from earmark.service.schemas.tagging import TagsBody


def load() -> Embedder:
    """The model; each request has one thread, as our service has it."""
    torch.set_num_threads(1)
    embedder = Embedder.load(starter_model())
    _ = embedder.vocabulary_vectors
    return embedder


def tags_of(embedder: Embedder, sound: bytes) -> dict[str, Any]:
    """What a route answers."""
    return TagsBody.of(suggest(embedder, embedder.embed_audio(sound), 10)).model_dump()


def main(port: int) -> None:
    """Serve."""
    app, embedder = FastAPI(), load()

    def tags(file: UploadFile) -> dict[str, Any]:
        return tags_of(embedder, file.file.read())

    app.post("/v1/tags")(tags)
    app.get("/healthz")(lambda: {})
    uvicorn.run(app, port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
