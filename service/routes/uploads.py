"""An uploaded sound → suggested tags, probabilities of given labels, or similar sounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from earmark.index.curation.classifiers import hear, labels_taught
from earmark.index.library import Library
from earmark.model import zero_shot
from earmark.model.audio.decode import Source
from earmark.model.audio.stretch import Span, Stretch
from earmark.model.embedder import AudioEmbedding
from earmark.model.inference.decode_pool import Block
from earmark.model.tagging import suggest
from earmark.service.http.problems import ProblemError
from earmark.service.http.streaming import OnBlock, respond
from earmark.service.openapi.operation import NAMES_PROBLEMS, UPLOAD_PROBLEMS, Tag, operation
from earmark.service.routes.conversions import filter_of
from earmark.service.routes.dependencies import ServicesDep, UploadRoute, one_file
from earmark.service.routes.stretches import End, EndField, Start, StartField, span_of_upload
from earmark.service.schemas.hits import PageBody
from earmark.service.schemas.search import PageQuery
from earmark.service.schemas.tagging import ClassesBody, TagsBody
from earmark.service.services import Services

MAX_LABEL_CHARACTERS = 20_000  # in all
MAX_KNOWN_TAGS = 50

TAG: Tag = {
    "name": "sounds",
    "description": "An uploaded sound → suggested tags, probabilities of given labels, or similar "
    "sounds.",
}
router = APIRouter(tags=[TAG["name"]], route_class=UploadRoute, dependencies=[Depends(one_file)])

SuggestedCount = Annotated[int, Query(ge=1, le=100, description="Tags to suggest")]
Labels = list[Annotated[str, StringConstraints(max_length=MAX_LABEL_CHARACTERS)]]
Upload = Annotated[UploadFile, File(description="A sound file: wav, flac, ogg, mp3, m4a, webm, …")]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "With `Accept: text/event-stream`: events `progress`, then `result` or "
        "`problem`. Closing the connection cancels the work.",
    }
}


async def answer_sound(
    request: Request,
    services: Services,
    file: UploadFile,
    answer: Callable[[AudioEmbedding], BaseModel],
    span: Span | None = None,
) -> Response:
    """Embed the uploaded sound in its turn, and answer with the result of `answer`.

    `span`: of the stretch that is embedded, None for the whole.
    """

    def read() -> Source:
        # The body stays on disk until its turn.
        data = file.file.read()
        return data if span is None else Stretch(data, span.start, span.end)

    async def run(on_block: OnBlock) -> BaseModel:
        return await services.uploads.run(read, answer, services.settings.max_seconds, on_block)

    def seconds(block: Block) -> float:
        return round(block.end(services.library.embedder.front_end.window_seconds), 3)

    return await respond(request, run, seconds, services.metrics)


@router.post(
    "/v1/tags",
    response_model=TagsBody,
    responses=EVENTS,
    **operation("tags", problems=UPLOAD_PROBLEMS),
)
async def tags(
    request: Request,
    services: ServicesDep,
    file: Upload,
    tags: Annotated[
        list[str] | None,
        Form(
            description="Accepted tags, comma-separated or repeated. They condition the remaining "
            "suggestions."
        ),
    ] = None,
    k: SuggestedCount = 10,
) -> Response:
    """Suggest tags for a sound, with the windows that they are most probable in."""
    known = _split("tags", tags or [])
    if len(known) > MAX_KNOWN_TAGS:
        raise ProblemError(
            "invalid-request", f"tags: expected at most {MAX_KNOWN_TAGS}, got {len(known)}"
        )
    embedder = services.library.embedder
    return await answer_sound(
        request,
        services,
        file,
        lambda sound: TagsBody.of(
            suggest(embedder, sound, k, known), hear(services.library.catalogue, embedder, sound)
        ),
    )


@router.post(
    "/v1/classify",
    response_model=ClassesBody,
    responses=EVENTS,
    **operation("classify", problems=UPLOAD_PROBLEMS),
)
async def classify(
    request: Request,
    services: ServicesDep,
    file: Upload,
    labels: Annotated[list[str] | None, Form(description="Comma-separated, or repeated")] = None,
    prompts: Annotated[
        str | None,
        Form(
            description="In place of labels: a JSON object of labels with words for each, "
            '`{"dog": ["dog bark", "puppy"], "rain": ["rain", "drizzle"]}`',
            max_length=MAX_LABEL_CHARACTERS,
        ),
    ] = None,
    multiple: Annotated[
        bool, Form(description="Whether several labels can be true at once")
    ] = False,
) -> Response:
    """Classify a sound by labels of your own, without training."""
    # In a thread: what many prompts mean takes seconds to compute.
    embedder = services.library.embedder
    classes = await anyio.to_thread.run_sync(
        labels_of, services.library, labels, prompts, 1 if multiple else 2
    )
    return await answer_sound(
        request,
        services,
        file,
        lambda sound: ClassesBody.of(
            zero_shot.classify(embedder, classes, sound.vector, multiple=multiple)
        ),
    )


@router.post(
    "/v1/search/audio",
    response_model=PageBody,
    responses=EVENTS,
    **operation("search_audio", problems=(*UPLOAD_PROBLEMS, *NAMES_PROBLEMS)),
)
async def search(
    request: Request,
    services: ServicesDep,
    file: Upload,
    query: Annotated[PageQuery, Query()],
    start: Start = None,
    end: End = None,
    start_field: StartField = None,
    end_field: EndField = None,
) -> Response:
    """Find sounds similar to an uploaded one, or to a stretch of it."""
    where = filter_of(query)
    span = span_of_upload(
        start if start_field is None else start_field,
        end if end_field is None else end_field,
        services.settings.max_seconds,
    )
    return await answer_sound(
        request,
        services,
        file,
        lambda sound: PageBody.of(
            services.library.search_by_vector(
                sound.vector,
                query.k,
                where,
                sound=f"sound {sound.info.sha256}",
                cursor=query.cursor,
                distinct=query.distinct,
                min_probability=query.min_probability,
                moments=query.moments,
            )
        ),
        span,
    )


_PROMPTS = TypeAdapter(dict[str, Annotated[list[str], Field(min_length=1)]])


def labels_of(
    library: Library, labels: list[str] | None, prompts: str | None, least: int
) -> zero_shot.Labels:
    """The labels of a request. Raises InputError, ProblemError."""
    if (labels is None) == (prompts is None):
        raise ProblemError("invalid-request", "labels: expected either labels or prompts")
    if labels is not None:
        texts = zero_shot.plain_prompts(_split("labels", labels))
    else:
        try:
            texts = _PROMPTS.validate_json(prompts or "")
        except ValidationError as error:
            raise ProblemError(
                "invalid-request", "prompts: expected a JSON object of labels and lists of words"
            ) from error
    zero_shot.check_prompts(texts, least)
    taught = labels_taught(library.catalogue, library.embedder, texts)
    return zero_shot.embed_labels(library.embedder, texts, taught=taught)


def _split(name: str, entries: list[str]) -> list[str]:
    """The values of a form's field, repeated or separated by commas. Raises ProblemError."""
    if (length := sum(map(len, entries))) > MAX_LABEL_CHARACTERS:
        raise ProblemError(
            "invalid-request",
            f"{name}: expected at most {MAX_LABEL_CHARACTERS} characters in all, got {length}",
        )
    return [value.strip() for entry in entries for value in entry.split(",") if value.strip()]
