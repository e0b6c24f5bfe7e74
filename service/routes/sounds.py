"""An uploaded sound → tags, or the probabilities of one's own labels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile

from service.errors import ProblemError
from service.routes.context import EngineDep, InferenceDep, SettingsDep
from service.schemas.sounds import ClassesBody, TagsBody

router = APIRouter(tags=["sounds"])

MAX_LABELS_LETTERS = 20_000

Upload = Annotated[UploadFile, File(description="A sound: wav, flac, ogg, mp3, m4a, webm, …")]


@router.post("/v1/tags")
async def tags(
    engine: EngineDep,
    settings: SettingsDep,
    inference: InferenceDep,
    file: Upload,
    k: Annotated[int, Query(ge=1, le=100, description="Most tags wanted")] = 10,
) -> TagsBody:
    """Suggest tags for a sound, with where they were heard."""
    return TagsBody.of(
        # The body waits on disk: it is read once its turn has come.
        await inference.run(lambda: engine.suggest(file.file.read(), k, settings.max_seconds))
    )


@router.post("/v1/classify")
async def classify(
    engine: EngineDep,
    settings: SettingsDep,
    inference: InferenceDep,
    file: Upload,
    labels: Annotated[list[str], Form(description="Comma-separated, or repeated")],
) -> ClassesBody:
    """Sort a sound into classes of one's own, without training."""
    if (letters := sum(map(len, labels))) > MAX_LABELS_LETTERS:
        raise ProblemError(
            "invalid-request",
            f"labels: expected at most {MAX_LABELS_LETTERS} letters in all, got {letters}",
        )
    named = [label for entry in labels for label in entry.split(",")]
    return ClassesBody.of(
        await inference.run(lambda: engine.classify(file.file.read(), named, settings.max_seconds))
    )
