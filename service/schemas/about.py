"""The model, health checks and problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder


class ModelBody(BaseModel):
    """The model card."""

    name: str
    fingerprint: str
    dim: int
    words: int | None = Field(
        description="Words that it has vectors of; null where it reads phrases, and knows any word"
    )
    sentence_encoder: str | None = Field(
        description="What reads whole phrases; null where it knows single words",
        examples=["use-multilingual-3"],
    )
    licence: str = Field(
        description="Under which the model may be used (SPDX); empty where it states none",
        examples=["MIT"],
    )
    languages: list[str] = Field(
        description="Of those phrases (BCP 47); empty where it knows single words",
        examples=[["de", "en", "ja"]],
    )
    vocabulary: int
    max_tags: int
    window_seconds: float
    sample_rate: int
    max_seconds: float = Field(
        description="Longest sound, or stretch of one, that this service embeds", examples=[600.0]
    )
    card: dict[str, Any]

    @classmethod
    def of(cls, embedder: Embedder, max_seconds: float) -> ModelBody:
        """From the model, and the service's limit."""
        languages = list(embedder.languages)
        card = {name: value for name, value in embedder.card.items() if name != "history"}
        if (calibration := embedder.calibration_summary()) is not None:
            card["calibration"] = calibration  # by tag, where the card has arrays
        return cls(
            name=embedder.name,
            fingerprint=embedder.fingerprint,
            dim=embedder.dim,
            words=None if languages else len(embedder.words),
            sentence_encoder=embedder.sentence_encoder or None,
            licence=embedder.licence,
            languages=languages,
            vocabulary=len(embedder.vocabulary),
            max_tags=embedder.max_tags,
            window_seconds=embedder.front_end.window_seconds,
            sample_rate=embedder.front_end.sample_rate,
            max_seconds=max_seconds,
            card=card,
        )


class Health(BaseModel):
    """The answer to a health check."""

    status: str


class KindBody(BaseModel):
    """The description of a type of problem."""

    title: str
    status: int
    description: str


class OpenAIError(BaseModel):
    """An error in the form of OpenAI's API."""

    message: str = Field(description="The problem's `detail`")
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The parameter at fault", examples=["input[3]"])
    code: str = Field(examples=["model_not_found"])


class Problem(BaseModel):
    """Problem details (RFC 9457); `type` is the address of the type's description."""

    type: str
    title: str
    status: int
    detail: str
    error: OpenAIError | None = Field(
        None, description="Of `/v1/embeddings` and `/v1/models`: the same in OpenAI's form"
    )
