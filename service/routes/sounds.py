"""An uploaded sound → tags, or the probabilities of one's own labels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Query, UploadFile

from service.routes.context import EngineDep, InferenceDep, SettingsDep
from service.schemas import ClassesBody, TagsBody

router = APIRouter(tags=["sounds"])

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
    sound = await file.read()
    return TagsBody.of(await inference.run(engine.suggest, sound, k, settings.max_seconds))


@router.post("/v1/classify")
async def classify(
    engine: EngineDep,
    settings: SettingsDep,
    inference: InferenceDep,
    file: Upload,
    labels: Annotated[list[str], Form(description="Comma-separated, or repeated")],
) -> ClassesBody:
    """Sort a sound into classes of one's own, without training."""
    sound = await file.read()
    named = [label for entry in labels for label in entry.split(",")]
    return ClassesBody.of(await inference.run(engine.classify, sound, named, settings.max_seconds))
