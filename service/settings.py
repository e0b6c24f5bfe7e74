"""The service's settings: one frozen object, read once from the environment or the command line.

Every setting can be given as `EARMARK_NAME`, for example `EARMARK_MAX_UPLOAD_MB=20`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import limits
from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from earmark.model.core.errors import ConfigError
from earmark.service.observability.logs import Format, Level


def _split(given: object) -> object:
    """A list from the environment: separated by commas."""
    if isinstance(given, str):
        return tuple(each.strip() for each in given.split(",") if each.strip())
    return given


def _rate(given: str) -> str:
    if given and len(limits.parse_many(given)) != 1:
        raise ValueError("expected one rate, such as 600/minute")
    return given


ORIGIN = r"^(\*|https?://[^/?#\s]+)$"
Rate = Annotated[str, AfterValidator(_rate)]
Origin = Annotated[str, Field(pattern=ORIGIN)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """What an operator may choose. `None` for library or model: those that ship."""

    model_config = SettingsConfigDict(env_prefix="EARMARK_", frozen=True)

    library: Path | None = Field(None, description="Folder of the library to serve")
    model: Path | None = Field(None, description="Model file or folder")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on")
    device: str = Field("cpu", description="Where the model runs: cpu, cuda or cuda:N")
    max_upload_mb: float = Field(50.0, gt=0, description="Largest request body, in 10^6 bytes")
    max_seconds: float = Field(600.0, gt=0, description="Longest uploaded sound, in seconds")
    max_waiting: int = Field(32, ge=1, description="Uploads in work or waiting before 429")
    threads: int = Field(2, ge=1, description="Uploads decoded at once, each by its own process")
    upload_seconds: float = Field(
        30.0, gt=0, description="Time that an upload may wait and be worked on"
    )
    max_searches: int = Field(1024, ge=1, description="Searches waiting before 429")
    searchers: int = Field(
        0, ge=0, description="Processes that search by words, at most; 0: as many as cores"
    )
    search_seconds: float = Field(5.0, gt=0, description="Time that a search may wait")
    log_format: Format = Field(
        "auto", description="Log as json or text; auto: text on a terminal, else json"
    )
    log_level: Level = Field("info", description="Log from debug, info, warning or error on")
    traces: str = Field(
        "", description="Where OpenTelemetry spans go: an OTLP/HTTP address; empty: nowhere"
    )
    recall_sample: int = Field(
        1000, ge=0, description="One search in so many measures the index's recall; 0: none"
    )
    ready_seconds: float = Field(
        1.0, gt=0, description="A search may take so long while the service counts as ready"
    )
    shutdown_seconds: int = Field(
        10, ge=1, description="Seconds that accepted requests get when the service is stopped"
    )
    drain_seconds: float = Field(
        0.0, ge=0, description="Seconds to go on listening, not ready, when stopped"
    )
    max_files: int = Field(100, ge=1, description="Most files in one request")
    max_connections: int = Field(4096, ge=16, description="Open connections; idle ones make room")
    head_seconds: float = Field(10.0, gt=0, description="Time that a request's head may take")
    body_seconds: float = Field(60.0, gt=0, description="Time that a request's body may take")
    write_seconds: float = Field(
        30.0, gt=0, description="Time in which a client must take some of its answer"
    )
    keep_alive_seconds: int = Field(30, ge=1, description="Time between requests of a connection")
    keys: Path | None = Field(None, description="File of API keys, made by `earmark keys add`")
    require_key: Literal["elsewhere", "always"] = Field(
        "elsewhere", description="Whether writing from this machine needs a key as well: always"
    )
    require_read_key: bool = Field(False, description="Whether reading from elsewhere needs a key")
    proxies: Networks = Field((), description="Addresses of proxies whose X-Forwarded-For counts")
    hosts: Names = Field((), description="Names it answers to beside localhost; none: to any")
    cors: Origins = Field((), description="Origins whose pages may call it; `*` only to read")
    rate_uploads: Rate = Field("600/minute", description="Uploads that only read, by client")
    rate_searches: Rate = Field("6000/minute", description="Other calls that read, by client")
    rate_writes: Rate = Field("600/minute", description="Calls that write, by client")
    rate_loopback: bool = Field(False, description="Whether rates hold for this machine as well")


def read_settings(**given: object) -> Settings:
    """The settings given, and the others from the environment. Raises ConfigError."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{name}: {first['msg']}, got {first['input']!r}") from error
