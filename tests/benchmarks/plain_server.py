"""The same model behind plain routes: `python -m tests.benchmarks.plain_server PORT`.

FastAPI decodes and encodes one upload after another in its thread pool, as a first version is
usually written: no processes, no batches, no limits. Searches go to a flat index of as many random
vectors as `bench_load search` has clips, by the sound alone.
"""

from __future__ import annotations

import sys
from typing import Any

import faiss
import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, UploadFile

from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from earmark.model.tagging import suggest
from earmark.service.schemas.tagging import TagsBody


def load() -> Embedder:
    """The model; each request has one thread, as our service has it."""
    torch.set_num_threads(1)
    embedder = load_embedder(starter_model())
    _ = embedder.vocabulary_vectors
    return embedder


def tags_of(embedder: Embedder, sound: bytes) -> dict[str, Any]:
    """What a route answers."""
    return TagsBody.of(suggest(embedder, embedder.embed_audio(sound), 10)).model_dump()


CLIPS, HITS = 10_000, 20


def index_of(dim: int) -> faiss.IndexFlatIP:
    """Random unit vectors."""
    vectors = np.random.default_rng(0).standard_normal((CLIPS, dim)).astype(np.float32)
    faiss.normalize_L2(vectors)
    index = faiss.IndexFlatIP(dim)
    index.add(vectors)
    return index


def main(port: int) -> None:
    """Serve."""
    app, embedder = FastAPI(), load()
    index = index_of(embedder.dim)
    faiss.omp_set_num_threads(1)

    def search(q: str) -> list[dict[str, Any]]:
        cosines, rows = index.search(embedder.embed_tags([[q]]), HITS)
        pairs = zip(rows[0].tolist(), cosines[0].tolist(), strict=True)
        return [{"id": row, "score": cosine} for row, cosine in pairs]

    app.get("/v1/search")(search)

    def tags(file: UploadFile) -> dict[str, Any]:
        return tags_of(embedder, file.file.read())

    app.post("/v1/tags")(tags)
    app.get("/healthz")(lambda: {})
    uvicorn.run(app, port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main(int(sys.argv[1]))
