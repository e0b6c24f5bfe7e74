"""Embeddings and models, in the form of OpenAI's API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from earmark.service.schemas.integers import WHOLE

if TYPE_CHECKING:
    from earmark.model.embedder import Embedder

ANY_MODEL = "earmark"  # stands for the one that is loaded, whichever it is
MAX_INPUTS = 2_048
MAX_PHRASE_CHARACTERS = 20_000

Encoding = Literal["float", "base64"]
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PHRASE_CHARACTERS)]


class EmbeddingOptions(BaseModel):
    """What holds for all inputs of a request, be it JSON or a form."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(
        ANY_MODEL,
        max_length=200,
        description="`earmark` for whichever model is loaded, or its name or fingerprint",
    )
    encoding_format: Encoding = Field(
        "float",
        description="How vectors are sent: numbers, or base64 of 32-bit floats, little-endian",
    )
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="The vectors' dimension; only the model's own can be had"
    )
    user: str | None = Field(None, max_length=1_000, description="Ignored")


class SoundData(BaseModel):
    """A sound file in base64."""

    model_config = ConfigDict(extra="forbid")

    data: str = Field(
        min_length=4,
        json_schema_extra={"contentEncoding": "base64"},
        description="The file's bytes in base64",
    )
    format: str | None = Field(
        None, max_length=40, description="Ignored: the file tells", examples=["wav"]
    )


class SoundInput(BaseModel):
    """A sound among the inputs."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["input_audio"]
    input_audio: SoundData


class EmbeddingsQuery(EmbeddingOptions):
    """What `POST /v1/embeddings` takes as JSON."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": ANY_MODEL, "input": ["rain on a roof", "thunder"]}]
        }
    )

    input: (
        Phrase | Annotated[list[Phrase | SoundInput], Field(min_length=1, max_length=MAX_INPUTS)]
    ) = Field(description="A phrase, or a list of phrases and sounds")


class EmbeddingBody(BaseModel):
    """The unit vector of one input."""

    object: Literal["embedding"]
    index: int = Field(description="Which of the inputs it is of, counted from 0")
    embedding: list[float] | str = Field(
        description="Its numbers, or in base64 as 32-bit floats, little-endian",
        examples=[[0.0123, -0.0456]],
    )


class UsageBody(BaseModel):
    """What was read: the words of phrases that the model knows, and the windows of sounds."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsBody(BaseModel):
    """The inputs' unit vectors, in their order."""

    object: Literal["list"]
    data: list[EmbeddingBody]
    model: str = Field(description="The model's name", examples=["starter"])
    usage: UsageBody


class OfferedModelBody(BaseModel):
    """The model that is loaded, as `/v1/model` describes it in full."""

    id: str = Field(examples=["starter"])
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="0: the model does not tell")
    owned_by: str = ANY_MODEL
    fingerprint: str = Field(description="Vectors of the same fingerprint can be compared")
    dimensions: int = Field(examples=[384])

    @classmethod
    def of(cls, embedder: Embedder, model_id: str) -> OfferedModelBody:
        """The loaded model under one of its names."""
        return cls(id=model_id, fingerprint=embedder.fingerprint, dimensions=embedder.dim)


class OfferedModelsBody(BaseModel):
    """The models that there are: one."""

    object: Literal["list"] = "list"
    data: list[OfferedModelBody]
