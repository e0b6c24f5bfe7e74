"""The service's settings: one frozen object, read once from the environment or the command line.

Every setting can be given as `EARMARK_NAME`, for example `EARMARK_MAX_UPLOAD_MB=20`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    threads: int = Field(2, ge=1, description="Uploads decoded and embedded at once")
