"""The service's settings: one frozen object, read once from the environment or the command line.

Every setting can be given as `EARMARK_NAME`, for example `EARMARK_MAX_UPLOAD_MB=20`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import limits
from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from earmark.model.core.errors import ConfigError
from earmark.service.observability.logs import Format, Level


def _split(value: object) -> object:
    """A list from the environment, separated by commas."""
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _rate(value: str) -> str:
    if value and len(limits.parse_many(value)) != 1:
        raise ValueError("expected one rate, such as 600/minute")
    return value


def _root_path(value: str) -> str:
    path = value.rstrip("/")
    if path and not re.fullmatch(r"(/(?!\.)[\w.~-]+)+", path, re.ASCII):
        raise ValueError("expected a path such as /sounds")
    return path


ORIGIN = r"^(\*|https?://[^/?#\s]+)$"
Rate = Annotated[str, AfterValidator(_rate)]
RootPath = Annotated[str, AfterValidator(_root_path)]
Origin = Annotated[str, Field(pattern=ORIGIN)]
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """The operator's settings. Without a library or model, those that ship are used."""

    model_config = SettingsConfigDict(env_prefix="EARMARK_", frozen=True)

    library: Path | None = Field(None, description="Folder of the library to serve")
    model: Path | None = Field(None, description="Model file or folder")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on")
    device: str = Field("cpu", description="Where the model runs: cpu, cuda or cuda:N")
    runtime: Literal["", "torch", "onnx"] = Field(
        "", description="What computes the model: torch or onnx; empty: what its files are made for"
    )
    max_upload_mb: float = Field(50.0, gt=0, description="Largest request body, in 10^6 bytes")
    max_seconds: float = Field(600.0, gt=0, description="Longest uploaded sound, in seconds")
    max_waiting: int = Field(
        32, ge=1, description="Uploads in work or waiting; further ones get 429"
    )
    threads: int = Field(2, ge=1, description="Uploads decoded at once, each in its own process")
    upload_seconds: float = Field(
        30.0, gt=0, description="Time limit of an upload in seconds, waiting included"
    )
    max_searches: int = Field(1024, ge=1, description="Searches waiting; further ones get 429")
    searchers: int = Field(
        0, ge=0, description="Processes that search by words; 0: one for each core"
    )
    search_seconds: float = Field(5.0, gt=0, description="Time in seconds that a search may wait")
    log_format: Format = Field(
        "auto", description="Format of the log: json, text, or auto (text on a terminal, else json)"
    )
    log_level: Level = Field(
        "info", description="Lowest level that is logged: debug, info, warning or error"
    )
    traces: str = Field(
        "", description="OTLP/HTTP address that OpenTelemetry traces are sent to; empty: no traces"
    )
    recall_sample: int = Field(
        1000, ge=0, description="One search in this many measures the index's recall; 0: none"
    )
    ready_seconds: float = Field(
        1.0,
        gt=0,
        description="Time limit in seconds of the search by which /readyz checks the service",
    )
    shutdown_seconds: int = Field(
        10,
        ge=1,
        description="Seconds that accepted requests get to finish when the service is stopped",
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        description="Seconds to keep listening while not ready, when the service is stopped",
    )
    max_files: int = Field(100, ge=1, description="Files in one request, at most")
    max_connections: int = Field(
        4096, ge=16, description="Open connections, at most; idle ones are closed for new ones"
    )
    head_seconds: float = Field(10.0, gt=0, description="Time limit in seconds of a request's head")
    body_seconds: float = Field(60.0, gt=0, description="Time limit in seconds of a request's body")
    write_seconds: float = Field(
        30.0, gt=0, description="Seconds in which a client must receive some of its answer"
    )
    keep_alive_seconds: int = Field(
        30, ge=1, description="Seconds that a connection may be idle between requests"
    )
    keys: Path | None = Field(None, description="File of API keys, made by `earmark keys add`")
    require_key: Literal["elsewhere", "always"] = Field(
        "elsewhere",
        description="Where writing needs a key: from elsewhere, or always (on this machine too)",
    )
    require_read_key: bool = Field(False, description="Whether reading from elsewhere needs a key")
    proxies: Networks = Field(
        (), description="Addresses of proxies whose X-Forwarded-For is trusted"
    )
    root_path: RootPath = Field(
        "", description="Path that a proxy serves it under, such as /sounds; it may strip it"
    )
    hosts: Names = Field(
        (), description="Host names that it answers to, beside localhost; none: any name"
    )
    cors: Origins = Field(
        (), description="Origins whose pages may use the API; `*`: any page may read"
    )
    mcp: bool = Field(False, description="Whether assistants may use it, at /mcp")
    mcp_write: bool = Field(
        False, description="Whether assistants with a key of scope write may edit"
    )
    rate_uploads: Rate = Field(
        "600/minute", description="Rate of uploads that only read, by client"
    )
    rate_searches: Rate = Field(
        "6000/minute", description="Rate of other requests that read, by client"
    )
    rate_writes: Rate = Field("600/minute", description="Rate of requests that write, by client")
    rate_loopback: bool = Field(False, description="Whether rates apply to this machine as well")


def read_settings(**arguments: object) -> Settings:
    """Settings from arguments, and the others from the environment. Raises ConfigError."""
    try:
        return Settings(**arguments)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{name}: {first['msg']}, got {first['input']!r}") from error
