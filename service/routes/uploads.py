"""An uploaded sound → tags, the probabilities of one's own labels, or sounds like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from earmark.model.embedder import AudioEmbedding
from earmark.model.inference.decode_pool import Block
from earmark.model.zero_shot import Labels
from earmark.service.engine import Engine
from earmark.service.http.problems import ProblemError
from earmark.service.http.streaming import Told, answered
from earmark.service.observability.metrics import Metrics
from earmark.service.routes.dependencies import (
    AdmittedRoute,
    EngineDep,
    InferenceDep,
    MetricsDep,
    SettingsDep,
)
from earmark.service.schemas.hits import PageBody
from earmark.service.schemas.search import PageQuery
from earmark.service.schemas.tagging import ClassesBody, TagsBody
from earmark.service.settings import Settings
from earmark.service.workers.upload_queue import Inference

MAX_LABELS_LETTERS = 20_000
MAX_KNOWN = 50


router = APIRouter(tags=["sounds"], route_class=AdmittedRoute)

Upload = Annotated[UploadFile, File(description="A sound: wav, flac, ogg, mp3, m4a, webm, …")]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "With `Accept: text/event-stream`: events `progress`, then `result` or "
        "`problem`; closing the connection cancels.",
    }
}


class Listening:
    """Hears the upload of a request."""

    def __init__(
        self,
        request: Request,
        engine: Engine,
        settings: Settings,
        inference: Inference,
        metrics: Metrics,
    ) -> None:
        self._request, self._engine, self._settings = request, engine, settings
        self._inference, self._metrics = inference, metrics

    async def answer(
        self, file: UploadFile, then: Callable[[AudioEmbedding], BaseModel]
    ) -> Response:
        """What `then` makes of the sound."""

        async def run(told: Told) -> BaseModel:
            # The body waits on disk: it is read once its turn has come.
            return await self._inference.run(file.file.read, then, self._settings.max_seconds, told)

        return await answered(self._request, run, self._seconds, self._metrics)

    def _seconds(self, block: Block) -> float:
        features = self._engine.embedder.config.features
        frames = int(block.first[-1]) + features.frames
        return round(frames * features.hop / features.sample_rate, 3)


async def _listening(
    request: Request,
    engine: EngineDep,
    settings: SettingsDep,
    inference: InferenceDep,
    metrics: MetricsDep,
) -> Listening:
    return Listening(request, engine, settings, inference, metrics)


ListeningDep = Annotated[Listening, Depends(_listening)]


@router.post("/v1/tags", response_model=TagsBody, responses=EVENTS)
async def tags(
    engine: EngineDep,
    listening: ListeningDep,
    file: Upload,
    tags: Annotated[
        list[str] | None,
        Form(description="Tags known already, comma-separated or repeated: others follow them"),
    ] = None,
    k: Annotated[int, Query(ge=1, le=100, description="Most tags wanted")] = 10,
) -> Response:
    """Suggest tags for a sound, with where they were heard."""
    known = _listed("tags", tags or [])
    if len(known) > MAX_KNOWN:
        raise ProblemError(
            "invalid-request", f"tags: expected at most {MAX_KNOWN}, got {len(known)}"
        )
    return await listening.answer(file, lambda sound: TagsBody.of(engine.suggest(sound, k, known)))


@router.post("/v1/classify", response_model=ClassesBody, responses=EVENTS)
async def classify(
    engine: EngineDep,
    listening: ListeningDep,
    file: Upload,
    labels: Annotated[list[str] | None, Form(description="Comma-separated, or repeated")] = None,
    prompts: Annotated[
        str | None,
        Form(
            description="In place of labels: a JSON object of labels and words for each, "
            '`{"dog": ["dog bark", "puppy"], "rain": ["rain", "drizzle"]}`',
            max_length=MAX_LABELS_LETTERS,
        ),
    ] = None,
    multiple: Annotated[
        bool, Form(description="Whether several labels can be true at once")
    ] = False,
) -> Response:
    """Sort a sound into classes of one's own, without training."""
    # In a thread: looking up many unknown words takes seconds.
    judged = await anyio.to_thread.run_sync(_labels, engine, labels, prompts, 1 if multiple else 2)
    return await listening.answer(
        file,
        lambda sound: ClassesBody.of(engine.classify(sound, judged, multiple=multiple)),
    )


@router.post("/v1/search/audio", response_model=PageBody, responses=EVENTS)
async def search(
    engine: EngineDep,
    listening: ListeningDep,
    file: Upload,
    asked: Annotated[PageQuery, Query()],
) -> Response:
    """Find sounds like an uploaded one."""
    where = asked.filter()
    return await listening.answer(
        file,
        lambda sound: PageBody.of(
            engine.library.like(
                sound.vector,
                f"sound {sound.info.sha256}",
                asked.k,
                where,
                cursor=asked.cursor,
                distinct=asked.distinct,
            )
        ),
    )


_PROMPTS = TypeAdapter(dict[str, Annotated[list[str], Field(min_length=1)]])


def _labels(engine: Engine, labels: list[str] | None, prompts: str | None, least: int) -> Labels:
    """The classes asked for. Raises InputError, ProblemError."""
    if (labels is None) == (prompts is None):
        raise ProblemError("invalid-request", "labels: expected either labels or prompts")
    if labels is not None:
        return engine.labels(_listed("labels", labels), least)
    try:
        read = _PROMPTS.validate_json(prompts or "")
    except ValidationError as error:
        raise ProblemError(
            "invalid-request", "prompts: expected a JSON object of labels and lists of words"
        ) from error
    return engine.prompted(read, least)


def _listed(name: str, entries: list[str]) -> list[str]:
    """What a form gives as repeated fields or separated by commas. Raises ProblemError."""
    if (letters := sum(map(len, entries))) > MAX_LABELS_LETTERS:
        raise ProblemError(
            "invalid-request",
            f"{name}: expected at most {MAX_LABELS_LETTERS} letters in all, got {letters}",
        )
    return [each.strip() for entry in entries for each in entry.split(",") if each.strip()]
