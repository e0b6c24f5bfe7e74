"""The service about itself, and its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder


class ModelBody(BaseModel):
    """What is known of the model."""

    name: str
    fingerprint: str
    dim: int
    words: int
    vocabulary: int
    max_tags: int
    window_seconds: float
    sample_rate: int
    card: dict[str, Any]

    @classmethod
    def of(cls, embedder: Embedder) -> ModelBody:
        """From the model."""
        config = embedder.config
        card = {name: value for name, value in embedder.card.items() if name != "history"}
        if (calibration := embedder.calibration_summary()) is not None:
            card["calibration"] = calibration  # by tag, where the card has arrays
        return cls(
            name=config.name,
            fingerprint=embedder.fingerprint,
            dim=embedder.dim,
            words=len(embedder.words),
            vocabulary=len(embedder.vocabulary),
            max_tags=config.tags.max_tags,
            window_seconds=config.features.window_seconds,
            sample_rate=config.features.sample_rate,
            card=card,
        )


class Health(BaseModel):
    """A probe's answer."""

    status: str


class KindBody(BaseModel):
    """What a type of problem means."""

    title: str
    status: int
    description: str


class Problem(BaseModel):
    """An error as RFC 9457 wants it; `type` leads to its description."""

    type: str
    title: str
    status: int
    detail: str
